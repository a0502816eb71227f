"""Losses of published methods against PyTorch, written anew from their formulas.

The "network" answers its parameters whatever it is shown, so that the gradient is that of outputs.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.config import Config, EacConfig, EvidentialConfig, ModelConfig, ScnConfig, TrainConfig
from ferjax.ensemble.methods import Batch, Target, method_of
from ferjax.models.vit import Output

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

FACES = 20
CLASSES = 7
SIDE = 3
DIM = 4


@pytest.fixture(scope="module")
def target():
    rng = np.random.default_rng(0)
    votes = rng.multinomial(10, rng.dirichlet(np.ones(CLASSES), FACES))
    return Target((votes / 10).astype(np.float32), votes.astype(np.int32))


def drawn(seed, **shapes):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def ours(config, params, target, *, views=1, epoch=0, memory=()):
    """Loss, gradient by what the network says, and what is remembered."""

    def apply(params, inputs, key):
        said = {name: params[name] for name in ("extra", "patches") if name in params}
        return Output(params["logits"], inputs, **said)

    batch = Batch(
        np.zeros((FACES, 1)),
        target,
        jax.random.key(0),
        epoch=jnp.int32(epoch),
        mirrored=np.zeros((FACES, 1)) if views == 2 else None,
        memory=memory,
    )
    loss = jax.value_and_grad(lambda p: method_of(config).loss(apply, p, batch), has_aux=True)
    (nats, seen), gradient = jax.jit(loss)(params)
    return nats, gradient, seen.memory


def agree(found, loss, leaves):
    nats, gradient, _ = found
    loss.backward()
    assert float(nats) == pytest.approx(loss.item(), abs=1e-5, rel=1e-5)
    for name, leaf in leaves.items():
        np.testing.assert_allclose(gradient[name], leaf.grad, atol=1e-5, rtol=1e-5)


def as_leaves(params):
    return {name: torch.tensor(value, requires_grad=True) for name, value in params.items()}


def q_of(target, name):
    q = torch.tensor(target.q)
    return q if name == "votes" else torch.nn.functional.one_hot(q.argmax(1), CLASSES).float()


@pytest.mark.parametrize(
    "evidence, risk, to, epoch",
    [
        ("relu", "mse", "labels", 0),
        ("relu", "mse", "labels", 4),
        ("softplus", "log", "labels", 10),
        ("exp", "digamma", "votes", 30),
        ("exp", "mse", "votes", 3),
    ],
)
def test_evidential(target, evidence, risk, to, epoch):
    options = EvidentialConfig(evidence, risk, to, kl_weight=0.7)
    params = drawn(1, logits=(FACES, CLASSES))
    found = ours(
        Config(train=TrainConfig(method="evidential", evidential=options)),
        params,
        target,
        epoch=epoch,
    )
    leaves = as_leaves(params)
    z = leaves["logits"]
    if evidence == "exp":
        alpha = torch.exp(z.clamp(-10, 10)) + 1
    else:
        alpha = getattr(torch.nn.functional, evidence)(z) + 1
    y = q_of(target, to)
    s = alpha.sum(1, keepdim=True)
    p = alpha / s
    if risk == "mse":
        fit = ((y - p) ** 2).sum(1) + (alpha * (s - alpha) / (s * s * (s + 1))).sum(1)
    elif risk == "log":
        fit = (y * (s.log() - alpha.log())).sum(1)
    else:
        fit = (y * (torch.digamma(s) - torch.digamma(alpha))).sum(1)
    left = y + (1 - y) * alpha if to == "labels" else 1 + (alpha - 1) * (1 - y)
    prior = torch.distributions.Dirichlet(torch.ones(CLASSES))
    divergence = torch.distributions.kl_divergence(torch.distributions.Dirichlet(left), prior)
    loss = fit.mean() + 0.7 * min(1.0, epoch / 10) * divergence.mean()
    agree(found, loss, leaves)


@pytest.mark.parametrize("to", ["labels", "votes"])
@pytest.mark.parametrize("margin", [0.07, 0.9])
def test_scn(target, to, margin):
    """Before and after relabelling begins; with a margin that is kept, and one that is not."""
    options = ScnConfig(margin=margin, target=to, relabel_epoch=2)
    config = Config(train=TrainConfig(method="scn", scn=options, batch_size=FACES))
    params = drawn(2, logits=(FACES, CLASSES), extra=(FACES, 1))
    labels = np.random.default_rng(3).integers(0, CLASSES, FACES).astype(np.int8)
    memory = () if to == "votes" else jnp.asarray(labels)
    before, after = (ours(config, params, target, epoch=epoch, memory=memory) for epoch in (0, 1))
    leaves = as_leaves(params)
    weight = torch.sigmoid(leaves["extra"])
    z = weight * leaves["logits"]
    tops = int(FACES * 0.7)
    _, high = torch.topk(weight.squeeze(), tops)
    _, low = torch.topk(weight.squeeze(), FACES - tops, largest=False)
    gap = weight[low].mean() - weight[high].mean() + margin
    ranking = gap if gap > 0 else torch.tensor(0.0)
    assert (gap > 0) == (margin == 0.9)
    if to == "votes":
        cross_entropy = torch.nn.CrossEntropyLoss()(z, torch.tensor(target.q))
    else:
        cross_entropy = torch.nn.CrossEntropyLoss()(z, torch.tensor(labels).long())
    agree(before, cross_entropy + ranking, leaves)
    if to == "labels":
        probs = torch.softmax(z.detach(), 1)
        most, predicted = probs.max(1)
        given = probs.gather(1, torch.tensor(labels).long()[:, None]).squeeze()
        expected = torch.where(most - given > 0.2, predicted, torch.tensor(labels).long())
        np.testing.assert_array_equal(before[2], labels)
        np.testing.assert_array_equal(after[2], expected)
        assert 0 < (after[2] != labels).sum() < FACES
        assert after[2].dtype == jnp.int8


@pytest.mark.parametrize("to, weight", [("labels", 5.0), ("votes", 1.0)])
def test_eac(target, to, weight):
    config = Config(
        model=ModelConfig(head="cls+mean"),
        train=TrainConfig(method="eac", eac=EacConfig(weight=weight, target=to)),
    )
    params = drawn(4, logits=(2 * FACES, CLASSES), patches=(2 * FACES, SIDE * SIDE, DIM))
    kernel = drawn(5, kernel=(2 * DIM, CLASSES))["kernel"]
    found = ours(config, {**params, "head": {"kernel": kernel}}, target, views=2)
    leaves = as_leaves(params)
    fc = torch.tensor(kernel[DIM:].T, requires_grad=True)

    def maps(tokens):  # [face, class, row, column]
        features = tokens.permute(0, 2, 1).reshape(FACES, 1, DIM, SIDE, SIDE)
        return (fc.detach()[None, :, :, None, None] * features).sum(2)

    one = maps(leaves["patches"][:FACES])
    other = torch.flip(maps(leaves["patches"][FACES:]), [3])
    logits = leaves["logits"][:FACES]
    loss = torch.nn.CrossEntropyLoss()(logits, q_of(target, to))
    agree(found, loss + weight * torch.nn.MSELoss()(one, other), leaves)
    np.testing.assert_array_equal(found[1]["head"]["kernel"], 0.0)
    assert (np.asarray(found[1]["patches"]) != 0).any((1, 2)).all()  # both views are moved
