"""An exported file that was changed, or whose program never ends, is refused; an honest one can be
checked again from itself alone."""

import io
import json
import zipfile

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.routing import RouterRule
from ferjax.serving import archive, verification
from ferjax.serving.program import RouterOutput
from ferjax.serving.router import Router

RULES = {"uar": RouterRule(0.5, 0.2)}
SIDE = 16


def honest(weights, images, thresholds):
    """Two classes by brightness, which is aleatoric too; epistemic is a weight."""
    light = jnp.mean(images.astype(jnp.float32), (1, 2)) / 255
    scores = {"aleatoric": light, "epistemic": 0 * light + weights[0]}
    defer_above, reject_above = thresholds["uar"]
    deferred = (light > defer_above).astype(jnp.int32)
    action = jnp.where(scores["epistemic"] > reject_above, 2, deferred)
    return {"uar": action}, jnp.stack([1 - light, light], -1), scores


def accepts_all(weights, images, thresholds):
    _, probs, scores = honest(weights, images, thresholds)
    return {"uar": jnp.zeros(images.shape[0], jnp.int32)}, probs, scores


def endless(weights, images, thresholds):
    forever = jax.lax.while_loop(lambda n: n >= 0, lambda n: (n + 1) % 7, jnp.int32(0))
    action, probs, scores = honest(weights, images, thresholds)
    return action, probs + forever, scores


def exported(program):
    (batch,) = jax.export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, SIDE, SIDE), jnp.uint8)
    lowered = jax.export.export(jax.jit(program))
    return bytes(lowered([np.float32(0.1)], images, archive.thresholds_of(RULES)).serialize())


def packed(program=honest, weight=0.1, about=()):
    images = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE), np.uint8)
    said = RouterOutput._make(
        jax.tree.map(np.asarray, honest([np.float32(0.1)], images, archive.thresholds_of(RULES)))
    )
    facts = {
        "format": archive.FORMAT,
        "classes": ["dark", "light"],
        "side": SIDE,
        "routers": {"uar": RULES["uar"].to_json()},
        "provenance": {},
        "parity": {"tolerance": 1e-4},
        "weights": 1,
        **dict(about),
    }
    check = verification.stored(images, said)
    return archive.pack(facts, exported(program), [np.float32(weight)], check)


@pytest.fixture(scope="module")
def whole():
    return packed()


def repacked(data, **parts):
    """The archive with other parts, its description as it was."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            new.writestr(name, parts.get(name.split("/")[0].split(".")[0], old.read(name)))
    return buffer.getvalue()


def test_an_honest_file_opens_and_can_be_checked_again(whole, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(whole)
    found = verification.verify(path)
    assert found["pictures"] == 5 and found["largest_difference"] <= 1e-6
    router = Router(path, batch_size=4)
    assert found["digest"] == router.program.digest
    pictures = np.stack([np.full((SIDE, SIDE), value, np.uint8) for value in (0, 255)])
    assert [d.action for d in router(pictures)] == ["accept", "defer"]


def test_a_file_of_which_a_part_was_changed_is_refused(whole, tmp_path):
    zeroed = archive._npy(np.float32(0))
    with zipfile.ZipFile(io.BytesIO(whole)) as archived:
        about = json.loads(archived.read("ferjax.json"))
    about["routers"]["uar"]["reject"]["above"] = None
    changed = {
        "zeroed weights": {"weights": zeroed},
        "an accept-all program": {"program": exported(accepts_all)},
        "other thresholds": {"ferjax": json.dumps(about)},
        "another check": {"check": zeroed},
    }
    for parts in changed.values():
        (tmp_path / "file").write_bytes(repacked(whole, **parts))
        with pytest.raises(ValueError, match="file: not a file that `ferjax export` wrote, or a"):
            Router(tmp_path / "file")
    # With a digest made anew it opens, and the check that it carries finds it out.
    (tmp_path / "file").write_bytes(packed(accepts_all, weight=9.0))
    Router(tmp_path / "file")
    with pytest.raises(ValueError, match="file: the exported program differs .* by 8.9 in"):
        verification.verify(tmp_path / "file")


@pytest.mark.parametrize(
    "about, message",
    [
        ({"side": 10**9}, "side must be at least 1 pixel and at most"),
        ({"side": 8}, "takes no pictures of 8 x 8"),
        ({"classes": 5}, "expected classes as a list of names"),
        ({"weights": -1}, "weights must be a number of arrays"),
        ({"weights": "1"}, "weights must be a number of arrays"),
        ({"routers": {"uar": 5}}, "router 'uar': a router must have defer and reject"),
        ({"provenance": []}, "provenance must be an object"),
        ({"format": [2]}, r"exported in format \[2\]"),
    ],
)
def test_a_description_of_the_wrong_types_is_refused(tmp_path, about, message):
    (tmp_path / "file").write_bytes(packed(about=about))
    with pytest.raises(ValueError, match=rf"file: .*{message}"):
        Router(tmp_path / "file")


def test_every_flipped_byte_is_found_or_harmless(whole, tmp_path):
    """A byte that no reader looks at, in the archive's own directory, may change nothing."""
    rng = np.random.default_rng(0)
    path = tmp_path / "file"
    found = 0
    for at in rng.integers(0, len(whole), 60):
        changed = bytearray(whole)
        changed[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        try:
            program = archive.load(path)
        except ValueError:
            found += 1
            continue
        assert program.rules == RULES and program.classes == ("dark", "light")
    assert found > 50


def test_compressed_parts_are_refused(whole, tmp_path):
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(whole)) as old,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    (tmp_path / "file").write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match="is compressed or encrypted"):
        Router(tmp_path / "file")


def test_a_program_that_never_ends_is_refused(tmp_path, monkeypatch):
    """In a process of its own, which ends although the program does not."""
    import subprocess
    import sys

    (tmp_path / "file").write_bytes(packed(endless))
    (tmp_path / "picture.pgm").write_bytes(b"P5 16 16 255\n" + bytes(256))
    code = (
        "from ferjax.serving import archive; archive.PATIENCE = 2.0\n"
        "from ferjax.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "route", str(tmp_path / "file"), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "its program did not end in 2 seconds" in " ".join(done.stderr.split())
