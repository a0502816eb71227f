"""The network against the reference implementations in PyTorch, on random weights, float32."""

import jax
import numpy as np
import pytest

from ferjax.config import ModelConfig
from ferjax.models import layers, positions, pretrained, state_dicts, vit

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]


def reference(registers, gated, tmp_path):
    """A Hugging Face model with 518-pixel positions, and the state its files hold."""
    name = "Dinov2WithRegisters" if registers else "Dinov2"
    size = (
        {"hidden_size": 192, "num_hidden_layers": 3, "num_attention_heads": 3}
        if gated
        else {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6}
    )
    config = getattr(transformers, f"{name}Config")(
        **size, image_size=518, patch_size=14, layerscale_value=1.0, use_swiglu_ffn=gated
    )
    torch.manual_seed(0)
    model = getattr(transformers, f"{name}Model")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path)
    return model, pretrained.read_state(tmp_path), size


def final_tokens(config, params, images):
    """Tokens after the last block and the final norm, ``[face, token, dim]``."""
    tokens = jax.jit(vit.blocks(config, 0, config.depth).apply)(params, images)
    return layers.norm("float32", "norm").apply({"params": params["norm"]}, tokens)


@pytest.mark.slow
@pytest.mark.parametrize("registers, gated", [(0, False), (4, False), (0, True), (4, True)])
def test_final_tokens_equal_transformers(registers, gated, tmp_path):
    model, state, size = reference(registers, gated, tmp_path)
    for side in (56, 112, 224, 518):
        config = ModelConfig(
            image_size=side,
            patch_size=14,
            dim=size["hidden_size"],
            depth=size["num_hidden_layers"],
            heads=size["num_attention_heads"],
            registers=registers,
            mlp="swiglu" if gated else "gelu",
        )
        images = np.random.default_rng(side).normal(size=(1, side, side, 3)).astype(np.float32)
        with torch.no_grad():
            expected = model(
                torch.from_numpy(images.transpose(0, 3, 1, 2))
            ).last_hidden_state.numpy()
        got = final_tokens(config, state_dicts.from_state(state, config), images)
        assert np.abs(got - expected).max() <= 1e-4, f"side {side}"


@pytest.mark.parametrize("target", [4, 8, 16, 37, 50])
def test_position_rules_equal_torch(target):
    grid = torch.randn(1, 5, 37, 37, generator=torch.Generator().manual_seed(0))
    flat = grid[0].permute(1, 2, 0).reshape(37 * 37, 5).numpy()
    resized = {
        "plain": torch.nn.functional.interpolate(grid, size=(target, target), mode="bicubic"),
        "antialias": torch.nn.functional.interpolate(
            grid, size=(target, target), mode="bicubic", antialias=True
        ),
        "offset": torch.nn.functional.interpolate(
            grid, scale_factor=(target + 0.1) / 37, mode="bicubic"
        )
        if target != 37
        else grid,
    }
    for rule, expected in resized.items():
        wanted = expected[0].permute(1, 2, 0).reshape(-1, 5).numpy()
        np.testing.assert_allclose(
            positions.resize_positions(flat, target, rule), wanted, atol=2e-5, err_msg=rule
        )


@pytest.mark.parametrize("head", ["cls", "cls+mean"])
@pytest.mark.parametrize("registers", [0, 4])
def test_an_exported_member_opens_in_pytorch_and_comes_back_exactly(head, registers, tmp_path):
    config = ModelConfig(
        image_size=28, patch_size=14, dim=48, depth=2, heads=3, registers=registers, head=head
    )
    model = vit.vit(config, 3)
    params = model.init(jax.random.key(0))
    pretrained.write_hugging_face(params, config, ("cat", "dog", "owl"), tmp_path)
    name = "Dinov2WithRegisters" if registers else "Dinov2"
    opened = getattr(transformers, f"{name}ForImageClassification").from_pretrained(tmp_path).eval()
    images = np.random.default_rng(0).normal(size=(2, 28, 28, 3)).astype(np.float32)
    assert opened.config.id2label == {0: "cat", 1: "dog", 2: "owl"}
    with torch.no_grad():
        expected = opened(torch.from_numpy(images.transpose(0, 3, 1, 2))).logits.numpy()
    np.testing.assert_allclose(model.apply(params, images).logits, expected, atol=1e-5)

    state = pretrained.read_state(tmp_path)
    width = params["head"]["kernel"].shape[0]
    back = {
        **state_dicts.from_state(state, config),
        "head": {
            "kernel": state["classifier.weight"].T[:width],
            "bias": state["classifier.bias"],
        },
    }
    jax.tree.map(np.testing.assert_array_equal, dict(params), back)


@pytest.mark.rehearsal
def test_real_weights_give_pytorchs_features(shared_data, tmp_path):
    path = shared_data.parent / "weights" / "dinov2_vits14_derived.safetensors"
    images = np.load(shared_data / "ferplus_rehearsal.npz")["images"][:4]
    from ferjax.faces.images import normalise, to_network_size

    inputs = np.asarray(normalise(to_network_size(jax.numpy.asarray(images), 112)))
    config = ModelConfig(image_size=112, patch_size=14, dim=384, depth=12, heads=6)
    reference = transformers.Dinov2Model(
        transformers.Dinov2Config(
            hidden_size=384,
            num_hidden_layers=12,
            num_attention_heads=6,
            image_size=518,
            patch_size=14,
        )
    )
    state = {
        name: torch.from_numpy(np.array(value, np.float32))
        for name, value in pretrained.read_state(path).items()
    }
    from safetensors.torch import save_file

    reference.save_pretrained(tmp_path)
    save_file(
        {**state, "embeddings.mask_token": torch.zeros(1, 384)},
        tmp_path / "model.safetensors",
        metadata={"format": "pt"},
    )
    reference = transformers.Dinov2Model.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        expected = reference(
            torch.from_numpy(inputs.transpose(0, 3, 1, 2))
        ).last_hidden_state.numpy()
    got = final_tokens(config, pretrained.load_pretrained(path, config), inputs)
    np.testing.assert_allclose(got, expected, atol=1e-4)
