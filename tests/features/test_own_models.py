"""Backbones of one's own: timm, ONNX, torch.export and functions give what the network itself gives."""

import importlib
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lsi.config import FeatureSettings
from lsi.errors import DataError, UsageError
from lsi.features import Backbone, extract, load_backbone, plan
from lsi.features.backbone import IMAGENET_MEAN, IMAGENET_STD
from lsi.features.exported import _size, files_of_model, hash_of_model
from lsi.progress import Progress
from tests.features.images import photos
from tests.features.networks import NAME, SIZE, Reading, Tiny, Two, export_onnx, export_program, network

timm = pytest.importorskip("timm")
pytest.importorskip("onnxruntime")
CPU = torch.device("cpu")
IMAGES = photos(7)


def features(backbone: Backbone, folder: Path, size: int | None = None) -> np.ndarray:
    folder.mkdir(exist_ok=True)
    assert extract(IMAGES, plan(IMAGES, backbone, size, 4), folder, CPU, Progress()) == {}
    return np.load(folder / "features.npy")


def truth(net: nn.Module, size: int = SIZE, mean=IMAGENET_MEAN, std=IMAGENET_STD) -> np.ndarray:
    """What the network gives for the images, the plain way."""
    pixels = np.stack([np.asarray(IMAGES.read(i).resize((size, size), 3)) for i in range(len(IMAGES))])
    batch = (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(
        std
    )[:, None, None]
    with torch.no_grad():
        return net(batch).flatten(1).numpy()


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """The same network in every form."""
    from safetensors.torch import save_file

    folder, net = tmp_path_factory.mktemp("models"), network()
    whole = timm.create_model(NAME, pretrained=False).state_dict() | net.state_dict()  # with a classifier, as trained
    save_file(whole, folder / "net.safetensors")
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in whole.items()}}, folder / "net.pth")
    onnx = export_onnx(net, folder / "net.onnx"), export_onnx(net, folder / "one.onnx", 1)
    programs = export_program(net, folder / "net.pt2"), export_program(net, folder / "three.pt2", 3)
    return {p.name: p for p in (*onnx, *programs, folder / "net.safetensors", folder / "net.pth")}


@pytest.mark.parametrize("form", ["net.safetensors", "net.pth", "net.onnx", "one.onnx", "net.pt2", "three.pt2"])
def test_every_form_of_a_network_gives_its_features(files, tmp_path, form):
    is_weights = form in ("net.safetensors", "net.pth")
    backbone = load_backbone(f"timm/{NAME}", files[form]) if is_weights else load_backbone(str(files[form]))
    expected = truth(network())
    assert expected.std() > 0.1
    np.testing.assert_allclose(features(backbone, tmp_path, SIZE), expected, atol=1e-4, rtol=1e-4)
    assert backbone.bfloat16_from is None
    assert backbone.native_size == (176 if is_weights else SIZE)  # timm's config, or the file's own shape
    assert backbone.keeps_native_size


def test_the_hash_of_a_model_is_that_of_its_weights(files, tmp_path):
    assert load_backbone(f"timm/{NAME}", files["net.pth"]).weights_hash == load_backbone(
        f"timm/{NAME}", files["net.safetensors"]).weights_hash  # fmt: skip
    other = export_program(Tiny(), tmp_path / "net.pt2")
    assert load_backbone(str(other)).weights_hash != load_backbone(str(files["net.pt2"])).weights_hash


@pytest.mark.parametrize("shape", [["b", "h", "w", 3], [None, None, None, 3], ["b", 32, 32, 3]])
def test_a_network_whose_channels_are_last_is_refused(shape):
    with pytest.raises(UsageError, match=r"expected one input of shape \(b, 3, size, size\), got \(.*, 3\)"):
        _size(Path("net.onnx"), [shape])
    assert _size(Path("net.onnx"), [["b", 3, "h", "w"]]) is None
    assert _size(Path("net.onnx"), [["b", 3, 3, 3]]) == 3


def test_weights_beside_an_onnx_file_belong_to_it(tmp_path):
    path = tmp_path / "net.onnx"
    with torch.no_grad():
        program = torch.onnx.export(Tiny(3000).eval(), (torch.randn(2, 3, SIZE, SIZE),), dynamo=True, verbose=False,
                                    dynamic_shapes=({0: torch.export.Dim("batch")},))  # fmt: skip
    program.save(path, external_data=True)
    assert [p.name for p in files_of_model(path)] == ["net.onnx", "net.onnx.data"]
    before = hash_of_model(path)
    data = bytearray((tmp_path / "net.onnx.data").read_bytes())
    data[0] ^= 1
    (tmp_path / "net.onnx.data").write_bytes(data)
    assert hash_of_model(path) != before
    assert features(load_backbone(str(path)), tmp_path / "out").shape == (7, 3000)


def test_weights_outside_the_folder_of_an_onnx_file_are_refused(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"\x0a\x08location\x12\x0a../../file")
    with pytest.raises(UsageError, match=r"its weights lie outside its folder, in .*file: put them beside it"):
        load_backbone(str(path))


def test_long_names_of_weights_beside_an_onnx_file_are_read(tmp_path):
    name = "w" * 200
    (tmp_path / name).touch()
    path = tmp_path / "net.onnx"
    path.write_bytes(b"\x0a\x08location\x12" + bytes([200 % 128 + 128, 200 // 128]) + name.encode())
    assert [p.name for p in files_of_model(path)] == ["net.onnx", name]


def test_an_onnx_file_may_say_how_it_wants_its_images(tmp_path):
    onnx = pytest.importorskip("onnx")
    net, path = Tiny().eval(), tmp_path / "said.onnx"
    any_size = ({axis: torch.export.Dim(name) for axis, name in ((0, "b"), (2, "h"), (3, "w"))},)
    torch.onnx.export(net, (torch.randn(2, 3, 8, 8),), path, dynamo=True, verbose=False, dynamic_shapes=any_size)
    plain = load_backbone(str(path))
    assert (plain.mean, plain.native_size, plain.keeps_native_size, plain.is_scale_known) == (
        IMAGENET_MEAN, 224, False, False)  # fmt: skip
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"mean": "[0.5, 0.4, 0.3]", "std": "0.25", "image_size": "[3, 24, 24]"})
    onnx.save(model, path)
    backbone = load_backbone(str(path))
    assert (backbone.mean, backbone.std, backbone.native_size) == ((0.5, 0.4, 0.3), (0.25,) * 3, 24)
    assert backbone.is_scale_known
    expected = truth(net, 24, (0.5, 0.4, 0.3), (0.25,) * 3)
    np.testing.assert_allclose(features(backbone, tmp_path / "out"), expected, atol=1e-4)
    for said, message in (({"mean": "much"}, "expected numbers as its metadata's mean, got 'much'"),
                          ({"mean": "[123.7, 116.3, 103.5]"}, "its metadata do not fit. Expected mean of pixel values"),
                          ({"std": "1, 1"}, "Expected one number or three as std")):  # fmt: skip
        del model.metadata_props[:]
        onnx.helper.set_model_props(model, said)
        onnx.save(model, path)
        with pytest.raises(DataError, match=message):
            load_backbone(str(path))


def test_an_output_is_chosen_by_name(tmp_path):
    path = export_onnx(Two(), tmp_path / "two.onnx", output_names=["means", "twice"])
    with pytest.raises(UsageError, match=r"has 2 outputs: say which with .*two.onnx:means or another of means, twice"):
        load_backbone(str(path))
    with pytest.raises(UsageError, match="has no output 'third'; there are means, twice"):
        load_backbone(f"{path}:third")
    means = features(load_backbone(f"{path}:means"), tmp_path / "a")
    backbone = load_backbone(f"{path}:twice")
    assert backbone.name == "two.onnx:twice"
    np.testing.assert_allclose(features(backbone, tmp_path / "b"), 2 * means, rtol=1e-6)


def broken(folder: Path, name: str) -> str:
    (folder / name).write_bytes(b"no model")
    return str(folder / name)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda f: "none.onnx", DataError, "--backbone: no such file: none.onnx"),
        (lambda f: broken(f, "a.onnx"), DataError, "a.onnx: not readable as an ONNX model"),
        (lambda f: broken(f, "a.pt2"), DataError, "a.pt2: not readable as a program that torch.export.save wrote"),
        (lambda f: f"{export_program(Tiny(), f / 'a.pt2')}:x", UsageError, "a .pt2 file has one output; leave :x out"),
        (lambda f: str(grey(f / "grey.pt2")), UsageError, r"one input of shape \(b, 3, size, size\), got \(2, 1"),
        (lambda f: str(export_bytes(f / "a.onnx")), UsageError, r"expected an input of floats, got tensor\(uint8\)"),
        (lambda f: "timm/resnet10", UsageError, r"timm knows no network called 'resnet10': did you mean .*resnet10t"),
        (lambda f: "best.safetensors", UsageError, "weights alone are no network; .*timm/NAME --weights best"),
        (lambda f: "resnet99", UsageError, "timm/NAME, an .onnx or .pt2 file, or MODULE:FUNCTION"),
        (lambda f: "no_module_of_mine:net", UsageError, r"no_module_of_mine could not be imported .* \(ModuleNot"),
        (lambda f: "math:net", UsageError, "the module math has no function 'net'"),
        (lambda f: "math:pi", UsageError, "the module math has no function 'pi'"),
        (lambda f: "math:sqrt", UsageError, r"the function failed \(TypeError: .*called without arguments"),
        (lambda f: "time:time", UsageError, "expected the function to return an nn.Module or a Backbone, got float"),
        (lambda f: "tests.features.test_own_models:refusing", UsageError, "my own message"),
        (lambda f: "tests.features.test_own_models:no_network", UsageError, "expected a Backbone with a module"),
    ],
)  # fmt: skip
def test_what_is_no_backbone_is_named(tmp_path, make, error, message):
    with pytest.raises(error, match=message):
        load_backbone(make(tmp_path))


def refusing() -> nn.Module:
    raise UsageError("my own message")


def no_network() -> Backbone:
    return Backbone("none", None, "")


def seeded() -> nn.Module:
    torch.manual_seed(5)
    return Tiny()


def with_transform() -> Backbone:
    return Backbone("mine", seeded(), "", (0.5,) * 3, (0.25,) * 3, 16, bfloat16_from=1, keeps_native_size=True)


def grey(path: Path) -> Path:
    torch.export.save(torch.export.export(nn.Flatten(), (torch.zeros(2, 1, 8, 8),)), path)
    return path


def export_bytes(path: Path) -> Path:
    torch.onnx.export(Reading().eval(), (torch.zeros(2, 3, 8, 8, dtype=torch.uint8),), path, dynamo=True, verbose=False)
    return path


def test_a_function_of_ones_own_gives_a_network_or_a_backbone(tmp_path):
    here = "tests.features.test_own_models"
    backbone = load_backbone(f"{here}:seeded")
    assert (backbone.name, backbone.is_scale_known, backbone.can_be_rewritten) == (f"{here}:seeded", False, False)
    np.testing.assert_allclose(features(backbone, tmp_path / "a", 16), truth(seeded(), 16), atol=1e-5)
    own = load_backbone(f"{here}:with_transform")
    assert (own.name, own.native_size, own.bfloat16_from) == (f"{here}:with_transform", 16, None)
    expected = truth(seeded(), 16, (0.5,) * 3, (0.25,) * 3)
    np.testing.assert_allclose(features(own, tmp_path / "b"), expected, atol=1e-5)
    torch.save(Tiny().state_dict(), tmp_path / "w.pth")
    other = load_backbone(f"{here}:seeded", tmp_path / "w.pth")
    assert other.weights_hash != backbone.weights_hash


def test_a_module_of_the_working_folder_is_found(tmp_path, monkeypatch):
    (tmp_path / "my_own_nets.py").write_text("from torch import nn\ndef net(): return nn.Flatten()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    before = load_backbone("my_own_nets:net")
    assert str(tmp_path) not in sys.path
    del sys.modules["my_own_nets"]
    (tmp_path / "my_own_nets.py").write_text("from torch import nn\ndef net(): return nn.Flatten()  # with a remark\n")
    assert load_backbone("my_own_nets:net").weights_hash != before.weights_hash


def test_a_module_is_what_it_was_imported_as(tmp_path, monkeypatch):
    """Its file may have changed since, and what runs is what was imported."""
    source = "from torch import nn\ndef net(): return nn.Flatten()\n"
    (tmp_path / "my_edited_nets.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    before = load_backbone("my_edited_nets:net").weights_hash
    (tmp_path / "my_edited_nets.py").write_text(source + "# with a remark\n")
    assert load_backbone("my_edited_nets:net").weights_hash == before
    monkeypatch.syspath_prepend(tmp_path)
    importlib.reload(sys.modules["my_edited_nets"])
    assert load_backbone("my_edited_nets:net").weights_hash != before


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (None, DataError, "--weights: no such file"),
        (b"nothing", DataError, "expected a state dict as torch.save"),
        ({"epoch": 3}, DataError, "expected a state dict of tensors, got dict without any"),
        (nn.Flatten(), DataError, "nothing else is loaded, because a pickle can run code"),
        ({"last.weight": torch.zeros(4, 3)}, UsageError, "1 of the network's weights are not in it, such as last.bias"),
        (Tiny().state_dict() | {"more.weight": torch.zeros(1)}, UsageError,
         "1 of its weights are not in the network, such as more.weight"),
        (Tiny(5).state_dict(), UsageError, r"expected last.weight of shape \(4, 3\), got \(5, 3\)"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_are_named(tmp_path, content, error, message):
    path = tmp_path / "w.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(error, match=message):
        load_backbone("tests.features.test_own_models:seeded", path)


def test_damaged_safetensors_are_named(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"nothing")
    with pytest.raises(DataError, match="not readable as safetensors"):
        load_backbone(f"timm/{NAME}", tmp_path / "w.safetensors")


def test_torchvision_networks_take_weights_from_a_file(tmp_path):
    from torchvision.models import resnet18

    torch.manual_seed(0)
    net = resnet18(weights=None).eval()
    torch.save(net.state_dict(), tmp_path / "w.pth")
    backbone = load_backbone("resnet18", tmp_path / "w.pth")
    net.fc = nn.Identity()
    np.testing.assert_allclose(features(backbone, tmp_path / "a", 32), truth(net), atol=1e-4, rtol=1e-3)
    assert backbone.mean == IMAGENET_MEAN


def test_weights_of_timm_out_of_reach_are_an_error(monkeypatch):
    def unreachable(*args, **options):
        raise OSError("no network")

    monkeypatch.setattr("timm.create_model", unreachable)
    with pytest.raises(
        UsageError, match=r"weights of timm/resnet10t .*downloaded \(OSError: no network\).*--weights FILE"
    ):
        load_backbone("timm/resnet10t")


@pytest.mark.parametrize(
    ("package", "name", "message"),
    [("timm", f"timm/{NAME}", "timm/resnet10t needs the package timm: pip install 'lsi-lens.timm.'"),
     ("onnxruntime", "net.onnx", "net.onnx needs the package onnxruntime: pip install 'lsi-lens.onnx.'"),
     ("safetensors.torch", f"timm/{NAME}", "needs the package safetensors: pip install 'lsi-lens.timm.'")],
)  # fmt: skip
def test_a_missing_package_is_named_with_its_extra(files, monkeypatch, package, name, message):
    monkeypatch.setitem(sys.modules, package, None)
    weights = files["net.safetensors"] if package.startswith("safe") else None
    with pytest.raises(UsageError, match=message):
        load_backbone(str(files[name]) if name.endswith("onnx") else name, weights)


class Odd(nn.Module):
    def __init__(self, result) -> None:
        super().__init__()
        self.result = result

    def forward(self, images: torch.Tensor):
        return self.result(images)


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (lambda x: (x, x), UsageError, "gives tuple for 1 images: expected one tensor with a row of features for each"),
        (lambda x: x.sum(), UsageError, r"gives a tensor of shape \(\) for 1 images"),
        (lambda x: x.flatten(0, 1), UsageError, r"gives a tensor of shape \(3, 16, 16\) for 1 images"),
        (lambda x: x @ torch.zeros(5, 5), UsageError, r"does not take images of 16 px \(RuntimeError: .*--image-size"),
        (lambda x: x / 0, DataError, "gives NaN or infinity for image 0: its weights, or --mean and --std, do not fit"),
    ],
)
def test_a_network_that_gives_something_else_is_named(tmp_path, result, error, message):
    backbone = Backbone("odd", Odd(result), "", can_be_rewritten=False)
    with pytest.raises(error, match=message):
        features(backbone, tmp_path, 16)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_type_are_named_not_the_size_of_the_images(tmp_path, dtype):
    backbone = Backbone("half", Tiny().eval().to(dtype), "", native_size=SIZE, can_be_rewritten=False)
    name = str(dtype).removeprefix("torch.")
    with pytest.raises(UsageError, match=rf"it has weights in {name}: return it with \.float\(\)"):
        features(backbone, tmp_path, SIZE)


SCALES = {"flat": 0.5, "listed": [0.5] * 3, "large": (123.0, 116.0, 103.0), "words": "much"}


def scaled(name: str) -> Backbone:
    made = Backbone("mine", network(), "", native_size=SIZE)
    for field in ("mean", "std"):  # nothing checks types outside of the tests
        object.__setattr__(made, field, SCALES[name])
    return made


flat, listed, large, words = (partial(scaled, name) for name in SCALES)


def test_the_scale_of_a_backbone_of_ones_own_is_checked():
    for name in ("flat", "listed"):
        found = load_backbone(f"{__name__}:{name}")
        assert (found.mean, found.std) == ((0.5,) * 3, (0.5,) * 3)
    with pytest.raises(UsageError, match=r":large: its mean does not fit\. Expected mean of pixel values in 0 … 1"):
        load_backbone(f"{__name__}:large")
    with pytest.raises(UsageError, match=r":words: expected numbers as mean, got 'much'"):
        load_backbone(f"{__name__}:words")


def test_a_network_of_one_size_refuses_another(files, tmp_path):
    for name in ("net.onnx", "net.pt2"):
        with pytest.raises(UsageError, match=f"{name} does not take images of 48 px .*--image-size"):
            features(load_backbone(str(files[name])), tmp_path, 48)


def test_small_images_take_the_size_that_a_network_was_made_for():
    vision_transformer = replace(load_backbone("pixels"), module=nn.Flatten(), native_size=224)
    assert plan(IMAGES, vision_transformer, None, 4).size == 160
    assert plan(IMAGES, replace(vision_transformer, keeps_native_size=True), None, 4).size == 224


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mean": (0.5, 0.5)}, "Expected one number or three as mean"),
        (
            {"mean": (123.675, 116.28, 103.53)},
            "Expected mean of pixel values in 0 … 1, got 123.675, 116.28, 103.53: divide",
        ),
        ({"std": (0.0,)}, "Expected std of pixel values in 0 … 1, got 0"),
        ({"embeddings": "a.npy", "probabilities": "b.npy"}, "give one of them"),
        ({"embeddings": "a.npy", "backbone": "resnet18"}, "embeddings stand for the backbone: leave backbone"),
        ({"probabilities": "a.npy", "mean": (0.5,)}, "probabilities stand for the backbone"),
        ({"weights": Path("w.pth")}, "weights belong to a network of another name: .* got backbone auto"),
        ({"weights": Path("w.pth"), "backbone": "net.onnx"}, "got backbone net.onnx"),
        ({"weights": Path("w.pth"), "backbone": "all_minilm_l6_v2"}, "got backbone all_minilm_l6_v2"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(values, message):
    with pytest.raises(UsageError, match=message):
        FeatureSettings(**values)
