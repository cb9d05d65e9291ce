"""Images whose encoded bytes are fetched one by one: from a column, an archive, or another machine."""

from collections.abc import Callable, Sequence

from PIL import Image

from lsi.data.decoding import decode, decode_native
from lsi.errors import DataError, UnreachableError
from lsi.hashing import Stamp, fingerprint

Fetch = Callable[[int], bytes | None]
StampOf = Callable[[int], Stamp | None]


class FetchedImages:
    """Images behind a function from their position to their encoded bytes, which may be called from any thread."""

    def __init__(self, names: Sequence[str], fetch: Fetch, stamp: StampOf = lambda _: None) -> None:
        """Take what fetches.

        Args:
            names: n names for messages.
            fetch: gives the bytes of image i, None where there are none.
            stamp: gives a key of where the bytes of image i lie, with size and time of change of the file.
        """
        self.names, self._fetch, self._stamp = names, fetch, stamp

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self.names)

    def read(self, index: int) -> Image.Image:
        """Return image `index` as RGB.

        Raises:
            DataError: there are no bytes, or they are no image.
        """
        return decode(self._bytes(index), self.names[index])

    def native(self, index: int) -> Image.Image:
        """Return image `index` in its own mode.

        Raises:
            DataError: there are no bytes, or they are no image.
        """
        return decode_native(self._bytes(index), self.names[index])

    def source(self, index: int) -> bytes | None:
        """Return the encoded bytes of image `index`."""
        return self._fetch(index)

    def checksum(self, index: int) -> str:
        """Return a hash of the encoded bytes of image `index`, "" where there are none.

        Raises:
            UnreachableError: they cannot be reached now.
        """
        try:
            data = self._fetch(index)
        except UnreachableError:
            raise
        except DataError:
            return ""
        return "" if data is None else fingerprint(data)

    def stamp(self, index: int) -> Stamp | None:
        """Return where the bytes of image `index` lie, None where nothing says."""
        return self._stamp(index)

    def _bytes(self, index: int) -> bytes:
        data = self._fetch(index)
        if data is None:
            raise DataError(f"{self.names[index]}: no image bytes")
        return data
