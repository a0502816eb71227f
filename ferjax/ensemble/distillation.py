"""Distillation: one student from an ensemble's predictions on its training faces.

An ensemble's mean and spread are one Dirichlet distribution per face: with the mean prediction, and
the concentration at which its expected entropy is the members' mean. It has the total, aleatoric
and epistemic uncertainty of the ensemble; the student learns it, and needs one forward pass.
Members that predict no concentrations get theirs from the votes on valid faces, where one of
these has two.

References:
  Malinin et al., Ensemble Distribution Distillation, 2020, https://arxiv.org/abs/1905.00076.
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import dirichlet, recalibration, uncertainty
from ferjax.config import Config
from ferjax.ensemble import prediction, training
from ferjax.ensemble.folder import RunFolder
from ferjax.ensemble.methods import Teacher
from ferjax.ensemble.prediction import MemberOutputs
from ferjax.ensemble.trained import Trained, load_run
from ferjax.events import Message, OnEvent, Progress, silent
from ferjax.faces import dataset
from ferjax.faces.dataset import Faces

__all__ = ["as_teacher", "distil", "student_config", "teach"]


def student_config(
    config: Config,
    seed: int | None = None,
    epochs: int | None = None,
    like: Config | None = None,
) -> Config:
    """The configuration of a student: the ensemble's own, with one member and another method.

    Args:
      config: the ensemble's.
      seed: the student's; the first member's by default.
      epochs: of its training; the ensemble's by default.
      like: whose architecture, training and evaluation the student has, in place of the
        ensemble's; data and what is not given above stay the ensemble's.
    """
    like = config if like is None else like
    train = dataclasses.replace(
        like.train,
        method="distil",
        seeds=(config.train.seeds[0] if seed is None else seed,),
        epochs=like.train.epochs if epochs is None else epochs,
    )
    return dataclasses.replace(like, data=config.data, train=train)


@jax.jit
def as_teacher(log_probs: jax.Array, log_concentration: jax.Array) -> Teacher:
    """An ensemble's predictions as one Dirichlet distribution per face.

    Args:
      log_probs: ``[member, face, class]``.
      log_concentration: ``[member, face]``; infinite for members without one.

    Returns:
      :class:`Teacher` with the same total and aleatoric uncertainty.
    """
    mean = uncertainty.mean_log_probs(log_probs)
    aleatoric = uncertainty.decompose(log_probs, log_concentration=log_concentration).aleatoric
    return Teacher(jnp.exp(mean), dirichlet.concentration_of_entropy(mean, aleatoric))


def teach(trained: Trained, faces: Faces, valid: Faces, on_event: OnEvent = silent) -> Teacher:
    """What an ensemble says of faces and their mirror images, together.

    Args:
      trained: an opened run.
      faces: that a student will be trained on.
      valid: whose votes give concentrations to members that predict none; single ones give none.
      on_event: told how far it is.

    Returns:
      :class:`Teacher` in numpy arrays; the two views of a face count as members of their own.
    """
    run = prediction.predictor(trained._replace(densities=None))
    size = trained.config.evaluate.batch_size
    pictures = {
        "training faces": (faces, faces.images),
        "their mirror images": (faces, faces.images[:, :, ::-1]),
        "valid faces": (valid, valid.images),
    }
    said: list[MemberOutputs] = []
    for name, (of, images) in pictures.items():

        def tell(share: float, name: str = name, count: int = len(images)) -> None:
            on_event(Progress(f"the ensemble's predictions of {count:,} {name}", share))

        said.append(prediction.predict(run, images, of.ids, size, on_batch=tell))
    *views, of_valid = said
    log_probs = np.concatenate([view.log_probs for view in views])
    if of_valid.log_concentration is not None:
        own = [view.log_concentration for view in views]
    elif not recalibration.telling(valid.votes):
        said_so = (
            "no valid face has two votes: members are taken without concentrations of their own"
        )
        on_event(Message(said_so))
        own = [np.full(view.log_probs.shape[:2], np.inf, np.float32) for view in views]
    else:
        fitted = recalibration.fit_members(valid.votes, of_valid.log_probs)
        own = [recalibration.apply_members(fitted, view.log_probs) for view in views]
    return jax.device_get(as_teacher(log_probs, np.concatenate(own)))


def distil(
    run: str | Path,
    out: str | Path,
    *,
    seed: int | None = None,
    epochs: int | None = None,
    like: Config | None = None,
    data: dataset.Dataset | None = None,
    resume: bool = False,
    on_event: OnEvent = silent,
) -> training.Run:
    """Trains one student from an ensemble.

    Args:
      run: folder of the ensemble; it is not changed.
      out: folder of the student, a run like any other; must be new, unless ``resume``.
      seed: the student's; the first member's by default.
      epochs: of its training; the ensemble's by default.
      like: a configuration to take architecture and training from; the ensemble's by default, whose
        frozen trunk the student then shares.
      data: the run's data set; by default loaded as its configuration says.
      resume: continue an interrupted student.
      on_event: told what :func:`ferjax.ensemble.training.train` tells.

    Returns:
      The student's run.

    Raises:
      FileNotFoundError: if there is no run or no data set.
      FileExistsError: if ``out`` holds something and ``resume`` is off.
      ValueError: if the run is a student itself or reads texts, or ``out`` was configured
        differently.
      Interrupted: if SIGTERM or Ctrl-C came.
    """
    trained = load_run(Path(run), on_event)
    if trained.config.train.method == "distil":
        raise ValueError(f"{run} is a student itself; distil the ensemble that taught it")
    if trained.config.model.network != "vit":
        raise ValueError(f"{run} reads texts; only ensembles over pictures can be distilled")
    config = student_config(trained.config, seed, epochs, like)
    if config.model.network != "vit":
        raise ValueError(
            f"a student of {run} must read pictures, its configuration has model.network "
            f"{config.model.network}"
        )
    folder = RunFolder(Path(out))
    folder.check(config, trained.spec, resume=resume)
    data = dataset.load(config.data) if data is None else data
    teacher = None
    if not folder.teacher.is_file():
        teacher = teach(trained, data["train"], data["valid"], on_event)
    return training.train(
        config,
        data,
        folder.path,
        resume=resume,
        trunk=trained.trunk if like is None else None,
        teacher=teacher,
        on_event=on_event,
    )
