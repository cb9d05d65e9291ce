"""Backbones that were exported with their graph: ONNX files, and programs of torch.export (.pt2)."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lsi.errors import DataError, UsageError
from lsi.features.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone
from lsi.hashing import file_checksum, fingerprint
from lsi.references import ONNX, check_pixel_scale, split_file

log = logging.getLogger(__name__)

_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_TYPES = {"tensor(float)": torch.float32, "tensor(float16)": torch.float16, "tensor(double)": torch.float64}
# an ONNX file names each file beside it that holds weights: an entry with the key "location", in protobuf's encoding
_LOCATION = re.compile(rb"\x0a\x08location\x12([\x80-\xff]?)([\x00-\x7f])")


def exported_backbone(specification: str) -> Backbone:
    """Return the network in FILE.onnx, FILE.onnx:OUTPUT or FILE.pt2.

    Args:
        specification: the file, and which of an ONNX graph's outputs is meant where it has several.

    Raises:
        UsageError: the package that runs it is missing, or it takes or gives something else than one batch.
        DataError: the file is not there or cannot be read.
    """
    path, output = split_file(specification)
    if not path.is_file():
        raise DataError(f"--backbone: no such file: {path}.")
    if path.suffix.lower() == ONNX:
        return _onnx(path, output)
    if output:
        raise UsageError(f"--backbone {specification}: a .pt2 file has one output; leave :{output} out.")
    return _program(path)


def files_of_model(path: Path) -> tuple[Path, ...]:
    """Return the files that a model lies in: its own, and for ONNX those beside it that hold its weights.

    Raises:
        UsageError: an ONNX file names weights outside its own folder.
    """
    if path.suffix.lower() != ONNX:
        return (path,)
    content, folder, names = path.read_bytes(), path.resolve().parent, set()
    for found in _LOCATION.finditer(content):
        length = found[2][0] if not found[1] else found[1][0] % 128 + 128 * found[2][0]
        names.add(content[found.end() : found.end() + length].decode("utf-8", "replace"))
    others = [(folder / name).resolve() for name in sorted(names)]
    outside = [p for p in others if folder not in p.parents]
    if outside:
        raise UsageError(f"{path}: its weights lie outside its folder, in {outside[0]}: put them beside it.")
    return (path, *(p for p in others if p.is_file()))


def hash_of_model(path: Path) -> str:
    """Return a hash of the content of all files that a model lies in."""
    return fingerprint(*(file_checksum(p) for p in files_of_model(path)))


class _InBatches(nn.Module):
    """A network that takes batches within bounds: larger ones are cut, smaller ones filled up with zeros."""

    def __init__(self, least: int, most: int | None, dtype: torch.dtype) -> None:
        super().__init__()
        self.least, self.most, self.dtype = least, most, dtype

    def run(self, images: Tensor) -> Any:
        """Return what the network gives for a batch that it takes."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Any:
        parts = []
        for part in images.to(self.dtype).contiguous().split(self.most or len(images)):
            lacking = max(self.least - len(part), 0)
            filled = torch.cat([part, part.new_zeros(lacking, *part.shape[1:])]) if lacking else part
            rows = self.run(filled)
            if not isinstance(rows, Tensor) or rows.ndim == 0 or len(rows) != len(filled):
                return rows  # whoever asks says what is wrong with it
            parts.append(rows[: len(part)])
        return torch.cat(parts)


class _Session(_InBatches):
    """An ONNX graph run by onnxruntime, on the device that its input lies on where it can."""

    def __init__(self, path: Path, output: str, bounds: tuple[int, int | None], dtype: torch.dtype) -> None:
        super().__init__(*bounds, dtype)
        self.path, self.output, self.sessions = path, output, {}

    def run(self, images: Tensor) -> Tensor:
        kind = images.device.type
        if kind not in self.sessions:
            self.sessions[kind] = _session(self.path, images.device)
        session = self.sessions[kind]
        rows = session.run([self.output], {session.get_inputs()[0].name: images.cpu().numpy()})[0]
        return torch.from_numpy(rows).to(images.device)


class _Program(_InBatches):
    """A program of torch.export, moved to the device that its input lies on."""

    def __init__(self, program: Any, bounds: tuple[int, int | None], dtype: torch.dtype) -> None:
        super().__init__(*bounds, dtype)
        self.program, self.modules_of = program, {}

    def run(self, images: Tensor) -> Any:
        device = images.device
        if device not in self.modules_of:
            from torch.export.passes import move_to_device_pass

            moved = self.program if device.type == "cpu" else move_to_device_pass(self.program, device)
            self.modules_of[device] = moved.module()
        rows = self.modules_of[device](images)
        return rows[0] if isinstance(rows, tuple | list) and len(rows) == 1 else rows


def _session(path: Path, device: torch.device) -> Any:
    """Return an onnxruntime session; the caller has checked that the package is there."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
    providers: list[Any] = [_CPU]
    if device.type == "cuda" and _CUDA in onnxruntime.get_available_providers():
        providers.insert(0, (_CUDA, {"device_id": device.index or 0}))
    elif device.type == "cuda":
        log.warning("%s runs on the processor: this onnxruntime has no CUDA (pip install onnxruntime-gpu)", path.name)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # its errors have no common class of their own
        raise DataError(f"{path}: not readable as an ONNX model ({_first_line(error)}).") from error


def _onnx(path: Path, output: str) -> Backbone:
    try:
        import onnxruntime  # noqa: F401
    except ImportError:
        raise UsageError(f"{path} needs the package onnxruntime: pip install 'lsi-lens[onnx]'.") from None
    content = hash_of_model(path)
    session = _session(path, torch.device("cpu"))
    inputs, outputs = session.get_inputs(), [o.name for o in session.get_outputs()]
    if output and output not in outputs:
        raise UsageError(f"{path} has no output {output!r}; there are {', '.join(outputs)}.")
    if not output and len(outputs) > 1:
        raise UsageError(f"{path} has {len(outputs)} outputs: say which with {path}:{outputs[0]} or another of "
                         f"{', '.join(outputs)}.")  # fmt: skip
    if inputs[0].type not in _TYPES:
        raise UsageError(f"{path}: expected an input of floats, got {inputs[0].type}: export the network without its "
                         "own reading of images.")  # fmt: skip
    size = _size(path, [i.shape for i in inputs])
    batch = inputs[0].shape[0]
    bounds = (batch, batch) if isinstance(batch, int) else (1, None)
    said = session.get_modelmeta().custom_metadata_map
    mean, std, own_size = (_numbers(path, said, name) for name in ("mean", "std", "image_size"))
    size = size or (int(own_size[-1]) if own_size else None)
    module = _Session(path, output or outputs[0], bounds, _TYPES[inputs[0].type])
    return _backbone(path.name + (f":{output}" if output else ""), module, content, size, (mean, std))


def _program(path: Path) -> Backbone:
    try:
        program = torch.export.load(path)
    except Exception as error:  # an archive that is none, or of another version, fails in many ways
        raise DataError(
            f"{path}: not readable as a program that torch.export.save wrote with a version of PyTorch up to "
            f"{torch.__version__} ({_first_line(error)})."
        ) from error
    wanted = program.graph_signature.user_inputs
    values = [n.meta["val"] for n in program.graph.nodes if n.op == "placeholder" and n.name in wanted]
    tensors = [v for v in values if isinstance(v, Tensor)]
    shapes = [[int(d) if isinstance(d, int) else None for d in v.shape] for v in tensors]
    size = _size(path, shapes if len(tensors) == len(values) else [*shapes, []])
    bounds = _bounds(program, tensors[0].shape[0])
    example = program.example_inputs
    if size is None and example is not None and example[0]:
        size = int(example[0][0].shape[-1])
    return _backbone(path.name, _Program(program, bounds, tensors[0].dtype), hash_of_model(path), size, (None, None))


def _backbone(
    name: str,
    module: nn.Module,
    content: str,
    size: int | None,
    scale: tuple[tuple[float, ...] | None, tuple[float, ...] | None],
) -> Backbone:
    mean, std = scale
    return Backbone(
        name,
        module,
        content,
        mean or IMAGENET_MEAN,
        std or IMAGENET_STD,
        size or 224,
        keeps_native_size=size is not None,
        can_be_rewritten=False,
        is_scale_known=mean is not None and std is not None,
    )


def _bounds(program: Any, batch: Any) -> tuple[int, int | None]:
    """Return the smallest and the largest batch that a program takes."""
    if isinstance(batch, int):
        return batch, batch
    known = program.range_constraints.get(batch.node.expr)
    if known is None:
        return 1, None
    lower, upper = (_whole(v) for v in (known.lower, known.upper))
    return max(lower or 1, 1), upper


def _whole(value: Any) -> int | None:
    """Return a bound as an int, None where there is none."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError, AttributeError):
        return None


def _size(path: Path, shapes: list[list[Any]]) -> int | None:
    """Return the side of the images that a network takes, None where any will do.

    Raises:
        UsageError: it takes something else than one batch of square images of three channels.
    """
    shape = shapes[0] if len(shapes) == 1 else []
    fixed = [d for d in shape[2:] if isinstance(d, int)]
    is_last = len(shape) == 4 and shape[3] == 3 != shape[1]  # channels last, of any size
    if len(shape) != 4 or (isinstance(shape[1], int) and shape[1] != 3) or len(set(fixed)) > 1 or is_last:
        said = " and ".join(f"({', '.join(str(d) for d in s)})" for s in shapes)
        raise UsageError(f"{path}: expected one input of shape (b, 3, size, size), got {said}.")
    return fixed[0] if fixed else None


def _numbers(path: Path, said: dict[str, str], name: str) -> tuple[float, ...] | None:
    """Return numbers that the metadata of an ONNX file hold, None where they hold none of that name."""
    if name not in said:
        return None
    try:
        values = json.loads(f"[{said[name].strip().strip('[]()')}]")
        numbers = tuple(float(v) for v in values)
    except (TypeError, ValueError):
        numbers = ()
    if not numbers:
        raise DataError(f"{path}: expected numbers as its metadata's {name}, got {said[name]!r}.")
    if name == "image_size":
        return numbers
    try:
        check_pixel_scale(name, numbers)
    except UsageError as error:
        raise DataError(f"{path}: its metadata do not fit. {error}") from None
    return numbers if len(numbers) == 3 else numbers * 3


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no reason given'}"
