"""The same ensembles in PyTorch, with the same shapes and the same work per step.

The network carries the parameter names of ``ferjax.models.vit``, so that parameters move over
mechanically and both sides can be held to the same log-probabilities. Every step draws a batch of
stored faces (or cached tokens), mirrors some, prepares them, goes forward and backward and updates
with AdamW, as a ferjax step does.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn import functional as F

from ferjax.config import ModelConfig, TrainConfig
from ferjax.faces.images import IMAGENET_MEAN, IMAGENET_STD
from ferjax.models import vit

__all__ = ["Vit", "device", "predictions", "state_dict", "training_steps"]

Calls = dict[str, Callable[[], Any]]


def device() -> torch.device:
    """Where PyTorch computes: the GPU if it sees one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _finished(result: Any) -> Any:
    """Waits for the GPU; ``block_until_ready`` knows nothing of PyTorch."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return result


class Embed(nn.Module):
    def __init__(self, c: ModelConfig):
        super().__init__()
        self.grid = c.image_size // c.patch_size
        self.side = c.patch_size
        self.patch = nn.Linear(3 * c.patch_size**2, c.dim)
        self.cls = nn.Parameter(torch.zeros(1, 1, c.dim))
        self.position = nn.Parameter(torch.zeros(1, 1 + self.grid**2, c.dim))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        grid = self.grid
        side = self.side
        patches = (
            images.reshape(-1, grid, side, grid, side, 3)
            .transpose(2, 3)
            .reshape(-1, grid * grid, side * side * 3)
        )
        return (
            torch.cat([self.cls.expand(len(images), -1, -1), self.patch(patches)], 1)
            + self.position
        )


class Attention(nn.Module):
    def __init__(self, c: ModelConfig, fused: bool):
        super().__init__()
        self.heads = c.heads
        self.fused = fused
        self.qkv = nn.Linear(c.dim, 3 * c.dim)
        self.out = nn.Linear(c.dim, c.dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        faces, tokens, dim = x.shape
        query, key, value = (
            self.qkv(x).reshape(faces, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        )
        if self.fused:
            mixed = F.scaled_dot_product_attention(query, key, value)
        else:
            mixed = (
                torch.softmax(query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5, -1) @ value
            )
        return self.out(mixed.transpose(1, 2).reshape(faces, tokens, dim))


class Mlp(nn.Module):
    def __init__(self, c: ModelConfig):
        super().__init__()
        hidden = int(c.dim * c.mlp_ratio)
        self.up = nn.Linear(c.dim, hidden)
        self.down = nn.Linear(hidden, c.dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(F.gelu(self.up(x)))


class Block(nn.Module):
    def __init__(self, c: ModelConfig, fused: bool):
        super().__init__()
        self.norm1 = nn.LayerNorm(c.dim, eps=1e-6)
        self.norm2 = nn.LayerNorm(c.dim, eps=1e-6)
        self.attention = Attention(c, fused)
        self.mlp = Mlp(c)
        self.scale1 = nn.Parameter(torch.ones(c.dim))
        self.scale2 = nn.Parameter(torch.ones(c.dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm1(x)) * self.scale1
        return x + self.mlp(self.norm2(x)) * self.scale2


class Vit(nn.Module):
    """What a member trains: images or cached tokens in, log-probabilities out.

    Args:
      c: the architecture.
      classes: width of the head.
      fused: attention in one call, PyTorch's fastest; vmap has no rule for it and would fall back
        to a loop over members.
    """

    def __init__(self, c: ModelConfig, classes: int, fused: bool = True):
        super().__init__()
        self.bf16 = c.dtype == "bfloat16"
        self.mean_too = c.head == "cls+mean"
        first = vit.first_trained_block(c)
        self.embed = None if first else Embed(c)
        self.blocks = [f"block_{i}" for i in range(first, c.depth)]
        for name in self.blocks:
            self.add_module(name, Block(c, fused))
        self.norm = nn.LayerNorm(c.dim, eps=1e-6)
        self.head = nn.Linear(c.dim * (2 if self.mean_too else 1), classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device().type, torch.bfloat16, enabled=self.bf16):
            if self.embed is not None:
                x = self.embed(x)
            for name in self.blocks:
                x = getattr(self, name)(x)
        x = self.norm(x.float())
        features = torch.cat([x[:, 0], x[:, 1:].mean(1)], -1) if self.mean_too else x[:, 0]
        return torch.log_softmax(self.head(features), -1)


def state_dict(params: Mapping[str, Any], prefix: str = "") -> dict[str, torch.Tensor]:
    """One member's Flax parameters under PyTorch's names, kernels transposed."""
    found: dict[str, torch.Tensor] = {}
    for name, value in params.items():
        if isinstance(value, Mapping):
            found |= state_dict(value, f"{prefix}{name}.")
        else:
            array = torch.from_numpy(np.array(value, np.float32))
            found[prefix + {"kernel": "weight", "scale": "weight"}.get(name, name)] = (
                array.T.contiguous() if name == "kernel" else array
            )
    return found


def _members(config: ModelConfig, params: Any) -> list[Vit]:
    count, _, classes = params["head"]["kernel"].shape
    models = [Vit(config, classes).to(device()) for _ in range(count)]
    for k, model in enumerate(models):
        model.load_state_dict(
            state_dict(jax.tree.map(lambda leaf, k=k: np.asarray(leaf[k]), params))
        )
    return models


def _prepare(config: ModelConfig, stored: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """A batch of faces, or of tokens ``[face, 2, token, dim]``, to network input, some mirrored."""
    flips = torch.rand(rows.shape, device=rows.device) < 0.5
    if config.trainable_blocks is not None:
        return stored[rows, flips.long()]
    images = stored[rows]
    return network_input(config, torch.where(flips[..., None, None], images.flip(-1), images))


def network_input(config: ModelConfig, images: torch.Tensor) -> torch.Tensor:
    """Faces ``[..., side, side]`` uint8 to ``[..., S, S, 3]``: resized, normalised."""
    lead = images.shape[:-2]
    side = config.image_size
    x = images.reshape(-1, 1, *images.shape[-2:]).float() / 255
    if x.shape[-1] != side:
        x = F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)
    mean, std = (
        torch.tensor(v, dtype=torch.float32, device=x.device) for v in (IMAGENET_MEAN, IMAGENET_STD)
    )
    return ((x.movedim(1, -1) - mean) / std).reshape(*lead, side, side, 3)


def _loss(log_probs: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    return -(q * log_probs).sum(-1).mean()


def _adamw(parameters: Any, config: TrainConfig) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )


def training_steps(
    model: ModelConfig,
    train: TrainConfig,
    params: Any,
    stored: Any,
    targets: Any,
    rows: Any,
    *,
    compiled: bool = False,
) -> Calls:
    """One training step of every member, the two ways PyTorch offers.

    Args:
      model: the architecture.
      train: learning rate and weight decay.
      params: Flax parameters ``[member, ...]`` to start from.
      stored: faces or tokens to draw from.
      targets: ``[face, class]``.
      rows: ``[member, face]`` the batch of each member.
      compiled: the loop alone, over members compiled by ``torch.compile``.

    Returns:
      name -> call; each call returns the losses ``[member]``.
    """
    stored, targets, rows = (
        torch.from_numpy(np.array(a)).to(device()) for a in (stored, targets, rows)
    )
    rows = rows.long()
    members = _members(model, params)
    optimizers = [_adamw(member.parameters(), train) for member in members]

    def one(member: Vit, optimizer: torch.optim.Optimizer, rows: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = _loss(member(_prepare(model, stored, rows)), targets[rows])
        loss.backward()
        optimizer.step()
        return loss.detach()

    if compiled:
        for member in members:
            member.compile()
        return {
            "PyTorch loop, compiled": lambda: _finished(
                [one(*member) for member in zip(members, optimizers, rows)]
            )
        }

    stacked, _ = stack_module_state(members)
    skeleton = Vit(model, params["head"]["kernel"].shape[-1], fused=False).to("meta")
    stacked = {name: value.detach().clone().requires_grad_() for name, value in stacked.items()}
    optimizer = _adamw(stacked.values(), train)
    gradients_of = vmap(
        grad_and_value(lambda p, x, q: _loss(functional_call(skeleton, p, (x,)), q)),
        randomness="different",
    )

    def all_at_once() -> torch.Tensor:
        gradients, losses = gradients_of(
            {n: p.detach() for n, p in stacked.items()},
            _prepare(model, stored, rows),
            targets[rows],
        )
        for name, parameter in stacked.items():
            parameter.grad = gradients[name]
        optimizer.step()
        return _finished(losses)

    return {
        "PyTorch loop": lambda: _finished(
            [one(*member) for member in zip(members, optimizers, rows)]
        ),
        "torch.func vmap": all_at_once,
    }


def predictions(model: ModelConfig, params: Any, inputs: Any) -> tuple[Calls, dict[str, str]]:
    """Log-probabilities of every member on the same faces.

    Args:
      model: the architecture.
      params: Flax parameters ``[member, ...]``.
      inputs: faces ``[face, side, side]`` uint8, or tokens ``[face, token, dim]``.

    Returns:
      name -> call, and name -> why it was left out.
    """
    faces = torch.from_numpy(np.array(inputs)).to(device())
    members = [member.eval() for member in _members(model, params)]
    stacked, _ = stack_module_state(members)
    skeleton = Vit(model, params["head"]["kernel"].shape[-1], fused=False).to("meta")
    forward = vmap(lambda p, x: functional_call(skeleton, p, (x,)), in_dims=(0, None))

    def inference(call: Callable[[torch.Tensor], Any]) -> Callable[[], Any]:
        def run() -> Any:
            with torch.inference_mode():
                return _finished(
                    call(
                        faces if model.trainable_blocks is not None else network_input(model, faces)
                    )
                )

        return run

    calls = {
        "PyTorch loop": inference(lambda x: torch.stack([member(x) for member in members])),
        "torch.func vmap": inference(
            lambda x: forward({n: p.detach() for n, p in stacked.items()}, x)
        ),
    }
    left_out = {}
    try:
        from torch_uncertainty.methods import deep_ensembles
    except (ImportError, RuntimeError, OSError) as error:
        # RuntimeError, OSError: the torchvision it needs comes built for CUDA and does not load
        # beside a PyTorch for CPUs.
        left_out["torch-uncertainty"] = f"{type(error).__name__}: {error}"
    else:
        ensemble = members[0] if len(members) == 1 else deep_ensembles(members)
        calls["torch-uncertainty"] = inference(ensemble)
    return calls, left_out
