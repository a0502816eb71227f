"""The table of methods: what its entries train towards, and that the seam carries a new one."""

import dataclasses
import typing

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
import scipy.stats

from ferjax import losses, uncertainty
from ferjax import votes as vote_arithmetic
from ferjax.config import Config, ModelConfig, TrainConfig
from ferjax.ensemble import inputs, members, methods, optimizer, prediction, training
from ferjax.ensemble.forward import make_forward
from ferjax.ensemble.methods import (
    METHODS,
    Batch,
    Method,
    Reading,
    Seen,
    Target,
    Teacher,
    method_of,
)
from ferjax.faces.dataset import Dataset, DataSpec, Faces
from ferjax.models import vit
from ferjax.models.vit import Output
from ferjax.predictions import Predictions

CONFIG = ModelConfig(image_size=16, patch_size=8, dim=8, depth=1, heads=2)
FACES = 24
CLASSES = 5


@pytest.fixture(scope="module")
def target():
    rng = np.random.default_rng(0)
    votes = rng.multinomial(10, rng.dirichlet(np.ones(CLASSES), FACES))
    return Target(jnp.asarray(votes / 10, jnp.float32), jnp.asarray(votes, jnp.int32))


@pytest.fixture(scope="module")
def images():
    return jnp.asarray(np.random.default_rng(1).integers(0, 256, (FACES, 16, 16), np.uint8))


def test_a_configuration_can_name_every_method_and_no_other():
    named = typing.get_args(typing.get_type_hints(TrainConfig)["method"])
    assert set(named) == set(METHODS)


@pytest.mark.parametrize("name", ["votes", "labels"])
def test_softmax_methods_read_the_logits_and_ask_once(name):
    method = METHODS[name](Config())
    logits = jnp.array([[1.0, 2.0, -1.0]])
    reading = method.read(Output(logits, jnp.zeros((1, 2))))
    np.testing.assert_array_equal(reading.log_probs, jax.nn.log_softmax(logits))
    assert (reading.scores, method.extra, method.passes) == ({}, 0, 1)


@pytest.mark.parametrize("name", ["votes", "labels"])
def test_votes_train_towards_the_distribution_and_labels_towards_the_most_voted_class(name, target):
    """The "network" here answers its parameters whatever it is shown."""

    def apply(params, inputs, key):
        return Output(params, inputs)

    logits = jax.random.normal(jax.random.key(0), (FACES, CLASSES))
    batch = Batch(jnp.zeros((FACES, 1)), target, jax.random.key(1))
    (loss, seen), gradient = jax.value_and_grad(
        lambda params: METHODS[name](Config()).loss(apply, params, batch), has_aux=True
    )(logits)
    q = target.q if name == "votes" else np.eye(CLASSES)[np.argmax(target.q, -1)]
    expected = -np.mean(np.sum(q * np.asarray(seen.log_probs), -1))
    assert float(loss) == pytest.approx(float(expected), abs=1e-5)
    np.testing.assert_allclose(gradient * FACES, jnp.exp(seen.log_probs) - q, atol=1e-6)


def loss_of(name, said, target):
    """A method's loss and gradient, of a "network" that answers its parameters."""

    def apply(params, inputs, key):
        return Output(params["logits"], inputs, params.get("extra"))

    batch = Batch(jnp.zeros((FACES, 1)), target, jax.random.key(1))
    method = METHODS[name](Config())
    (loss, _), gradient = jax.jit(
        jax.value_and_grad(lambda params: method.loss(apply, params, batch), has_aux=True)
    )(said)
    return float(loss), gradient


@pytest.fixture(scope="module")
def said():
    rng = np.random.default_rng(2)
    return {
        "logits": jnp.asarray(rng.normal(size=(FACES, CLASSES)), jnp.float32),
        "extra": jnp.asarray(rng.normal(size=(FACES, 1)), jnp.float32),
    }


def counts_log_likelihood(votes, alpha):
    """Of the Dirichlet-multinomial, without the coefficient that no prediction changes."""
    votes, alpha = np.asarray(votes, np.float64), np.asarray(alpha, np.float64)
    total = votes.sum(-1)
    coefficient = scipy.special.gammaln(total + 1) - scipy.special.gammaln(votes + 1).sum(-1)
    return scipy.stats.dirichlet_multinomial.logpmf(votes, alpha, total) - coefficient


def test_a_concentration_is_fitted_to_the_counts_and_leaves_the_mean_to_the_votes(said, target):
    loss, gradient = loss_of("dirichlet", said, target)
    of_votes, gradient_of_votes = loss_of("votes", {"logits": said["logits"]}, target)
    probs = scipy.special.softmax(np.asarray(said["logits"], np.float64), -1)

    def fit(extra):  # per vote, in the units of the cross-entropy beside it
        people = np.asarray(target.votes).sum(-1)
        return -(counts_log_likelihood(target.votes, probs * np.exp(extra)) / people).mean()

    extra = np.asarray(said["extra"], np.float64)
    assert loss == pytest.approx(of_votes + fit(extra), rel=1e-5)
    np.testing.assert_allclose(gradient["logits"], gradient_of_votes["logits"], atol=1e-6)
    for face in (0, 5):
        step = np.zeros_like(extra)
        step[face] = 1e-5
        slope = (fit(extra + step) - fit(extra - step)) / 2e-5
        np.testing.assert_allclose(gradient["extra"][face], slope, atol=1e-5)


def test_mean_and_concentration_may_both_come_from_the_counts(said, target):
    logits = {"logits": said["logits"]}
    loss, gradient = loss_of("dirichlet-joint", logits, target)
    alpha = np.exp(np.asarray(said["logits"], np.float64))
    assert loss == pytest.approx(-counts_log_likelihood(target.votes, alpha).mean(), rel=1e-5)
    assert (np.asarray(gradient["logits"]) != 0).all()
    reading = METHODS["dirichlet-joint"](Config()).read(Output(said["logits"], jnp.zeros((1, 1))))
    parameters = np.exp(reading.log_probs + reading.log_concentration[:, None])
    np.testing.assert_allclose(parameters, alpha, rtol=1e-5)


def test_of_the_multinomial_every_vote_weighs_the_same(said):
    votes = np.random.default_rng(3).integers(0, 6, (FACES, CLASSES))
    q = votes / votes.sum(-1, keepdims=True)
    weight = votes.sum(-1) / votes.sum(-1).mean()
    target = Target(*map(jnp.float32, (q, votes, weight)))
    loss, _ = loss_of("multinomial", {"logits": said["logits"]}, target)
    log_probs = scipy.special.log_softmax(np.asarray(said["logits"], np.float64), -1)
    expected = -(votes * log_probs).sum() / votes.sum()
    assert loss == pytest.approx(expected, rel=1e-5)


def test_disagreement_is_fitted_by_its_square_beside_the_votes(said, target):
    loss, gradient = loss_of("disagreement", said, target)
    of_votes, _ = loss_of("votes", {"logits": said["logits"]}, target)
    predicted = scipy.special.expit(np.asarray(said["extra"], np.float64)[:, 0])
    delta = vote_arithmetic.disagreement(vote_arithmetic.distribution(target.votes))
    assert loss == pytest.approx(of_votes + np.mean((predicted - delta) ** 2), rel=1e-5)
    slope = 2 * (predicted - delta) * predicted * (1 - predicted) / FACES
    np.testing.assert_allclose(gradient["extra"][:, 0], slope, atol=1e-6)
    read = METHODS["disagreement"](Config()).read(
        Output(said["logits"], jnp.zeros((1, 1)), said["extra"])
    )
    np.testing.assert_allclose(read.scores["predicted_disagreement"], predicted, rtol=1e-5)


def test_a_student_that_says_what_its_teacher_says_has_nothing_to_learn(said):
    teacher = Teacher(jax.nn.softmax(said["logits"]), said["extra"][:, 0])
    q = jnp.full((FACES, CLASSES), 1 / CLASSES)
    target = Target(q, jnp.zeros((FACES, CLASSES), jnp.int32), teacher=teacher)
    loss, gradient = loss_of("distil", said, target)
    assert loss == pytest.approx(
        float(uncertainty.entropy(jnp.log(teacher.probs)).mean()), rel=1e-4
    )
    for part in gradient.values():
        np.testing.assert_allclose(part, 0.0, atol=1e-5)
    more, gradient = loss_of("distil", {**said, "extra": said["extra"] + 1}, target)
    assert more == pytest.approx(loss + 0.5, rel=1e-4) and (gradient["extra"] > 0).all()


def test_a_student_far_from_its_teacher_is_pulled_no_harder_by_the_concentration(said):
    """Its gradient reaches what mean and concentration share, and must not drown the mean's."""
    teacher = Teacher(jax.nn.softmax(-said["logits"]), jnp.full(FACES, 5.0))
    target = Target(teacher.probs, jnp.zeros((FACES, CLASSES), jnp.int32), teacher=teacher)
    for away in (-10.0, 10.0):
        _, gradient = loss_of("distil", {**said, "extra": jnp.full((FACES, 1), away)}, target)
        assert np.abs(gradient["extra"]).max() <= 1.0001 / FACES
        assert np.abs(gradient["logits"]).max() > 0.01 / FACES


def concentration_loss(apply, params, batch):
    """A loss with an extra column, the votes themselves, and randomness of its own."""
    output = apply(params, batch.inputs, batch.key)
    reading = concentration_read(output)
    noise = 1e-3 * jax.random.normal(jax.random.fold_in(batch.key, 7), output.extra[:, 0].shape)
    strength = jnp.sum(batch.target.votes, -1).astype(jnp.float32)
    fit = jnp.mean((output.extra[:, 0] + noise - jnp.log(strength)) ** 2)
    nats = jnp.mean(losses.cross_entropy(reading.log_probs, batch.target.q))
    return nats + fit, Seen(reading.log_probs)


def concentration_read(output):
    return Reading(jax.nn.log_softmax(output.logits), {"vacuity": jnp.exp(-output.extra[:, 0])})


CONCENTRATION = Method(concentration_loss, concentration_read, extra=1)


def test_a_method_with_an_extra_column_trains_and_leaves_the_head_its_classes(images, target):
    model = vit.members_model(CONFIG, CLASSES, CONCENTRATION.extra)
    adamw = optimizer.adamw(TrainConfig(warmup_epochs=0, learning_rate=1e-2), 3)
    step = jax.jit(
        chex.assert_max_traces(
            members.train_step(model, adamw, CONCENTRATION, inputs.drawing(CONFIG)), n=1
        )
    )
    state = jax.jit(lambda: members.init(model, adamw, jnp.uint32(1)))()
    assert state.params["head"]["kernel"].shape == (16, CLASSES)
    assert state.params["extra"]["kernel"].shape == (16, 1)
    order = members.epoch_order(state.key, jnp.int32(0), faces=FACES, batch_size=8)
    before = state.params
    reported = []
    for _ in range(30):
        state, report = step(state, order, images, target)
        reported.append(float(report.loss))
    assert np.mean(reported[-3:]) < np.mean(reported[:3]) - 1  # log 10 squared is most of it
    moved = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), before, state.params)
    assert all(jax.tree.leaves(moved))


def test_scores_of_a_method_come_out_of_the_forward_pass(images):
    model = vit.members_model(CONFIG, CLASSES, 1)
    params = jax.jit(model.init)(jax.random.key(0))
    forward = jax.jit(make_forward(CONFIG, CLASSES, CONCENTRATION))
    pictures = inputs.network_input(images, 16)
    outputs = forward(params, None, pictures, jax.random.key(2))
    said = model.apply(params, pictures)
    chex.assert_trees_all_close(
        outputs.scores,
        {
            "vacuity": jnp.exp(-said.extra[:, 0]),
            "energy": -jax.nn.logsumexp(said.logits, -1),
        },
        atol=1e-5,
    )
    np.testing.assert_allclose(outputs.log_probs[0], jax.nn.log_softmax(said.logits), atol=1e-5)


def test_passes_of_a_random_network_are_asked_with_keys_of_their_own(target):
    """A "network" whose answer is its key's: three passes differ, and scores are their mean."""
    method = Method(
        method_of(Config()).loss,
        lambda output: Reading(output.logits, {"first": output.logits[:, 0]}),
        passes=3,
    )

    def forward(key):
        return Output(jax.random.normal(key, (1, CLASSES)) + jnp.zeros((FACES, 1)), None)

    reading = jax.jit(lambda key: methods.read_passes(method, forward, key))(jax.random.key(5))
    chex.assert_shape(reading.log_probs, (3, FACES, CLASSES))
    assert len(np.unique(reading.log_probs[:, 0, 0])) == 3
    np.testing.assert_allclose(reading.scores["first"], reading.log_probs[:, :, 0].mean(0))
    again = methods.read_passes(method, forward, jax.random.key(5))
    chex.assert_trees_all_close(reading, again, atol=1e-6)
    other = methods.read_passes(method, forward, jax.random.key(6))
    assert (np.asarray(other.log_probs) != np.asarray(reading.log_probs)).any()


@pytest.mark.slow
def test_a_new_method_on_other_data_goes_all_the_way(tiny, rng, tmp_path, monkeypatch):
    """Head, loss, reading and scores from the method; class count and side from the data."""
    monkeypatch.setitem(METHODS, "votes", lambda config: CONCENTRATION)
    spec = DataSpec(("cat", "dog", "owl"), 20)

    def faces(count, first):
        votes = rng.multinomial(7, rng.dirichlet(np.ones(3)), count)
        images = rng.integers(0, 256, (count, 20, 20), np.uint8)
        q = (votes / 7).astype(np.float32)
        return Faces(images, votes, first + np.arange(count), q)

    splits = {"train": faces(40, 0), "valid": faces(10, 100), "test": faces(10, 200)}
    data = Dataset(spec, splits, {"other": faces(5, 300), "none": faces(0, 400)})
    config = dataclasses.replace(
        tiny,
        train=dataclasses.replace(tiny.train, seeds=(1,), epochs=1, warmup_epochs=0),
        evaluate=dataclasses.replace(tiny.evaluate, corruptions=(), tolerances=(), batch_size=16),
    )
    run = training.train(config, data, tmp_path / "run")
    assert run.state.params["head"]["kernel"].shape == (1, 32, 3)
    assert run.state.params["extra"]["kernel"].shape == (1, 32, 1)
    assert training.dry_run(config, data).budget.member_parameters == sum(
        leaf.size for leaf in jax.tree.leaves(run.state.params)
    )
    trained = prediction.load_run(run.folder)
    assert trained.spec == spec
    made = prediction.predict_conditions(trained, data, run.folder / "predictions")
    predictions = {p.condition: p for p in made}
    splits_of = {"valid": "valid", "test": "test", "other": "ood"}
    assert {name: p.split for name, p in predictions.items()} == splits_of
    again = Predictions.load(run.folder / "predictions" / "other.npz")
    assert again.classes == spec.classes and again.log_probs.shape == (1, 5, 3)
    assert {"vacuity", "energy", "ood_density"} <= set(again.scores)
    np.testing.assert_array_equal(again.votes, data["other"].votes)


def test_labels_train_towards_the_most_voted_class_alone(images, target):
    """As votes do on targets that are one-hot already, and not on those that are not."""
    one_hot = target._replace(q=jnp.eye(CLASSES)[target.q.argmax(-1)])
    descent = optax.sgd(0.1, momentum=0.9)  # Adam would make steps of what is 0 but for rounding
    model = vit.members_model(CONFIG, CLASSES)
    state = jax.jit(lambda: members.init(model, descent, jnp.uint32(1)))()
    order = members.epoch_order(state.key, jnp.int32(0), faces=FACES, batch_size=8)

    def trained(name, target):
        method = method_of(Config(train=TrainConfig(method=name)))
        step = jax.jit(members.train_step(model, descent, method, inputs.drawing(CONFIG)))
        after = state
        for _ in range(2):
            after, _ = step(after, order, images, target)
        return after.params

    labels = trained("labels", target)
    chex.assert_trees_all_close(labels, trained("votes", one_hot), atol=1e-6)
    with pytest.raises(AssertionError):
        chex.assert_trees_all_close(labels, trained("votes", target), atol=1e-3)
