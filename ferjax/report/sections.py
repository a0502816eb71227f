"""The sections of the report: tables and figures in the order of the argument, with what each
number means beside it."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ferjax.evaluation.intervals import plain
from ferjax.report import html
from ferjax.report.conclusions import Finding
from ferjax.report.plots import label

__all__ = ["build", "top"]

Section = tuple[str, str, str]


def _p(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def top(tables: Mapping, findings: Sequence[Finding]) -> str:
    """The headline numbers, and the findings in words."""
    c = tables["classification"]
    severity = tables["shift_severity"]
    matched = tables.get("matched") or {}
    cards: list[tuple[str, Any, str]] = [
        (
            "accuracy of the ensemble",
            c["accuracy"],
            f"members {min(c['member_accuracy']):.3f} – {max(c['member_accuracy']):.3f}",
        ),
        (
            "ρ aleatoric, human disagreement",
            tables["cross"]["aleatoric"]["disagreement"],
            f"ceiling {plain(tables['v1']['ceiling']):.2f}",
        ),
        ("ρ of the two uncertainties", tables["rank_correlation"], "0: separate signals"),
    ]
    if severity is not None:
        cards.insert(
            2,
            (
                f"AUROC of epistemic, severity {severity}",
                tables["cross"]["epistemic"]["shift"],
                "0.5: sees no shift",
            ),
        )
    if "epistemic" in matched:
        cards.append(
            ("routing area of epistemic", matched["epistemic"]["auc"], "random router 0.500")
        )

    def card(name: str, value: Any, beside: str) -> str:
        interval = (
            f"{value['low']:.3f} – {value['high']:.3f} · "
            if isinstance(value, Mapping) and "low" in value
            else ""
        )
        return f"<div class=card><span>{html.escape(name)}</span><b>{html.cell(plain(value))}</b><i>{interval}{html.escape(beside)}</i></div>"

    words = {"good": "good", "bad": "caution", "note": "note"}
    items = "".join(
        f"<li class={f.tone}><b>{words[f.tone]}</b>{html.escape(f.text)}</li>" for f in findings
    )
    return f"<div class=cards>{''.join(card(*c) for c in cards)}</div><h2>In words</h2><ul class=findings>{items}</ul>"


def build(
    tables: Mapping, figures: Mapping[str, str], faces: Sequence[Mapping], about: Mapping
) -> list[Section]:
    """All sections.

    Args:
      tables: as the evaluation made them.
      figures: name -> ``data:`` address, of those that could be drawn.
      faces: groups of example faces: ``title``, ``faces`` of ``uri`` and ``text``.
      about: ``data``, ``config``, ``versions``, ``seed``, ``command``, whatever is known.
    """
    makers: tuple[Callable[..., Section | None], ...] = (
        _data,
        _disagreement,
        _shift,
        _two_by_two,
        _reliability,
        _selective,
        _routing,
        _members,
        _faces,
        _paper,
        _how,
    )
    made = [make(tables, figures, faces, about) for make in makers]
    return [section for section in made if section is not None]


def _figure(figures: Mapping[str, str], name: str, alt: str, caption: str = "") -> str:
    return html.figure(figures[name], alt, caption) if name in figures else ""


def _data(tables: Mapping, figures: Mapping, faces: Sequence, about: Mapping) -> Section:
    v1 = tables["v1"]
    c = tables["classification"]
    rows: list[tuple[str, Any]] = [
        ("clean test faces", v1["faces"]),
        ("of these ambiguous (vote entropy in the upper third)", v1["ambiguous"]),
        ("of these clear (lower third)", v1["clear"]),
        ("faces with unanimous votes", f"{v1['unanimous']:.1%}"),
        ("share of the most frequent class", f"{c['majority_class']:.1%}"),
        ("ensemble members", tables["members"]),
        (
            "corruptions × severities",
            f"{len(tables['v2']['corruptions'])} × {len(next(iter(tables['v2']['curve'].values()), {}))}",
        ),
        *(
            (f"other set: {name.replace('_', ' ')}", row["faces"])
            for name, row in tables["v2"]["natural"].items()
        ),
        ("bootstrap resamples", tables["resamples"]),
        (
            "resampled by",
            "face"
            if tables["groups"] is None
            else f"group of identical pictures ({tables['groups']:,} groups)",
        ),
        *((str(name), value) for name, value in about.get("data", {}).items()),
    ]
    return html.section("data", "What was evaluated", html.table(("what", "count"), rows))


def _disagreement(tables: Mapping, figures: Mapping, faces: Sequence, about: Mapping) -> Section:
    v1 = tables["v1"]
    truth = "spearman_true_entropy" in next(iter(tables["v1"]["scores"].values()))
    head = [
        "score",
        "ρ with δ",
        "aleatoric is better by",
        "share of ceiling",
        "Kendall τ",
        *(["ρ with true entropy"] if truth else []),
        "AUROC ambiguous / clear",
    ]
    rows = [
        [
            label(name),
            r["spearman"],
            r.get("aleatoric_minus"),
            r["share_of_ceiling"],
            r["kendall"],
            *([r["spearman_true_entropy"]] if truth else []),
            r["auroc_ambiguous"],
        ]
        for name, r in v1["scores"].items()
    ]
    p = v1["posterior"]
    examples = [
        (e["votes"], e["faces"], e["counted"], e["mean"], f"{e['low']:.2f} – {e['high']:.2f}")
        for e in p["examples"]
    ]
    return html.section(
        "disagreement",
        "Does it follow human disagreement?",
        _p(
            "V1: each score against human disagreement δ = 1 − the largest share of votes, on clean test faces. Ranks are averaged over ties; "
            "small print is the 95 % percentile interval. The differences are paired: both scores on the same resampled faces."
        ),
        html.table(head, rows, main=(label("aleatoric"),)),
        "<div class=pair>",
        _figure(
            figures,
            "deciles",
            "Mean human disagreement for each tenth of aleatoric uncertainty",
            "Mean δ of each tenth of the faces, with 95 % bars. A flat line would mean no relation.",
        ),
        "<div><h3>How well could any score do?</h3>",
        _p(
            f"Splitting each face's own votes in half and stepping up to all of them, no score can be expected to correlate with δ above "
            f"{plain(v1['ceiling']):.2f} ({v1['ceiling']['low']:.2f} – {v1['ceiling']['high']:.2f}). A Dirichlet posterior of the votes puts "
            f"the ceiling at {p['ceiling']:.2f}. So few votes leave δ of a face open by ±{p['mean_deviation']:.2f} on average; its 95 % "
            f"interval is {p['mean_width']:.2f} wide."
        ),
        html.table(
            ("votes", "faces", "δ counted", "posterior mean", "95 % interval"),
            examples,
            digits=2,
            caption="the most frequent vote counts",
        ),
        "</div></div>",
    )


def _shift(tables: Mapping, figures: Mapping, faces: Sequence, about: Mapping) -> Section:
    v2 = tables["v2"]
    severity = tables["shift_severity"]
    parts = []
    if severity is not None:
        severities = sorted({s for rows in v2["corruptions"].values() for s in rows})
        head = ("corruption", *(f"severity {s}" for s in severities))
        rows = [
            (name, *(of[s]["epistemic"] if s in of else None for s in severities))
            for name, of in v2["corruptions"].items()
        ]
        rows.append(("mean", *(v2["curve"]["epistemic"][s] for s in severities)))
        full = [
            (label(score), name, s, of[s][score], of[s][score]["aupr"], of[s][score]["fpr_at_95"])
            for score in v2["curve"]
            for name, of in v2["corruptions"].items()
            for s in sorted(of)
        ]
        parts += [
            _p(
                "V2: the same test faces, clean (0) against corrupted (1). AUROC 0.5 means the score sees no difference; below 0.5 it takes the "
                "corrupted faces for the more ordinary ones."
            ),
            "<div class=pair>",
            _figure(
                figures,
                "severity",
                "Mean shift AUROC of every score against severity",
                "Unweighted mean over corruptions, with 95 % bands (faces resampled, pairs kept together).",
            ),
            "</div>",
            html.table(head, rows, main=("mean",), caption="AUROC of epistemic uncertainty"),
            _figure(
                figures,
                "corruptions",
                "Shift AUROC of both uncertainties for each corruption",
                "Each corruption on its own, 95 % bands.",
            ),
            html.details(
                "All scores, with AUPR and FPR at 95 % TPR",
                html.table(("score", "corruption", "severity", "AUROC", "AUPR", "FPR@95"), full),
            ),
        ]
    if v2["natural"]:
        scores = list(tables["v1"]["scores"])
        for statistic, title in (("auroc", "AUROC"), ("aupr", "AUPR"), ("fpr_at_95", "FPR@95")):
            rows = [
                (
                    name.replace("_", " "),
                    row["faces"],
                    *(row.get(s, {}).get(statistic) for s in scores),
                )
                for name, row in v2["natural"].items()
            ]
            made = html.table(
                ("set", "pictures", *(label(s) for s in scores)),
                rows,
                caption=f"{title} against the clean test faces",
            )
            parts.append(
                "<h3>Other sets of pictures</h3>" + made
                if statistic == "auroc"
                else html.details(f"The same as {title}", made)
            )
    if tables["cross_dataset"]:
        rows = [
            (
                name.replace("_", " "),
                r["faces"],
                r["accuracy"],
                r["vote_accuracy"],
                r["nll"],
                r["ece"],
            )
            for name, r in tables["cross_dataset"].items()
        ]
        c = tables["classification"]
        rows.append(
            ("clean test faces", c["faces"], c["accuracy"], c["vote_accuracy"], c["nll"], c["ece"])
        )
        parts.append(
            "<h3>Cross-dataset test</h3>"
            + html.table(("set", "faces", "accuracy", "vote accuracy", "NLL", "ECE"), rows)
        )
    distance = tables["distance"]
    if distance["sets"]:
        rows = [
            (name.replace("_", " "), r["mmd2"], r["p_value"], " / ".join(map(str, r["faces"])))
            for name, r in distance["sets"].items()
        ]
        parts.append(
            "<h3>How far away are they?</h3>"
            + _p(
                f"Squared maximum mean discrepancy between clean test faces and each set, RBF kernel at the median distance, in the space of "
                f"{distance['space'].replace('_', ' ')}; the p-value is exact by {distance['permutations']} permutations. Corrupted copies are "
                "compared with other clean faces, not with their own originals."
            )
            + html.table(("set", "MMD²", "p", "faces, clean / set"), rows, digits=4)
        )
    return html.section(
        "shift",
        "Does it follow shift?",
        *(parts or [_p("No corrupted copies and no other sets were given.")]),
    )


def _two_by_two(tables: Mapping, figures: Mapping, faces: Sequence, about: Mapping) -> Section:
    cross = tables["cross"]
    severity = tables["shift_severity"]
    own = tables["rank_correlation"]
    rows = [
        [
            label(name),
            r["disagreement"],
            r["shift"],
            tables["v2"]["epistemic_minus"].get(name, {}).get(severity),
        ]
        for name, r in cross.items()
    ]
    words = _p(
        "A claim that aleatoric means ambiguity and epistemic means ood_density holds only if each follows its own target better than "
        "the other does, and better than scores that need no decomposition. The last column is paired: how much better epistemic sees "
        "shift than the score in that row. The two uncertainties' own rank correlation on clean faces is "
        f"{own['value']:.2f} ({own['low']:.2f} – {own['high']:.2f})."
    )
    return html.section(
        "two-by-two",
        "Both questions, every score",
        words,
        html.table(
            (
                "score",
                "disagreement: ρ with δ",
                f"shift: AUROC at severity {severity}",
                "epistemic is better by",
            ),
            rows,
            main=(label("aleatoric"), label("epistemic")),
        ),
        _figure(
            figures,
            "cross",
            "Every score by how well it follows disagreement and shift",
            "To the right: follows disagreement. Up: follows shift. Dotted: no relation at all. Bars are 95 % intervals; "
            "gray: the other scores of the table.",
        ),
    )


def _reliability(tables: Mapping, figures: Mapping, faces: Sequence, about: Mapping) -> Section:
    c = tables["classification"]
    names = {
        "accuracy": "accuracy",
        "vote_accuracy": "share of people who agree",
        "nll": "NLL of the votes (nats)",
        "brier": "Brier score against the votes",
        "kl": "KL(votes ‖ prediction) (nats)",
        "jensen_shannon": "Jensen–Shannon divergence from the votes (nats)",
        "ece": "ECE, 15 bins of equal width",
        "ece_equal_mass": "ECE, 15 bins of equal mass",
    }
    members = [
        (f"member {k + 1}", a, n)
        for k, (a, n) in enumerate(zip(c["member_accuracy"], c["member_nll"]))
    ]
    return html.section(
        "reliability",
        "Quality and reliability",
        "<div class=pair>",
        html.table(("ensemble", "value"), [(title, c[name]) for name, title in names.items()]),
        _figure(
            figures,
            "reliability",
            "Reliability diagram",
            "On the dotted line confidence is right; below it the ensemble is too sure. "
            "Dots grow with the share of faces.",
        ),
        html.table(("", "accuracy", "NLL"), members),
        "</div>",
    )


def _selective(tables: Mapping, figures: Mapping, faces: Sequence, about: Mapping) -> Section:
    scores = tables["selective"]["scores"]
    coverages = list(next(iter(scores.values()))["label"]["accuracy"])
    head = (
        "leave out by",
        *(f"accuracy at {float(c):.0%}" for c in coverages),
        "AURC",
        "E-AURC",
        "AUGRC",
    )

    def of(kind: str) -> list:
        return [
            (
                label(n),
                *(r[kind]["accuracy"][c] for c in coverages),
                *(r[kind][q] for q in ("aurc", "excess_aurc", "augrc")),
            )
            for n, r in scores.items()
        ]

    return html.section(
        "selective",
        "What leaving faces out gains",
        _p(
            "Accuracy of the faces kept when the most uncertain are left out. AURC: mean risk over all coverages; E-AURC: what it lies above "
            "the best possible order; AUGRC: the mean share of faces that are kept and wrong. Lower is better for all three."
        ),
        html.table(head, of("label"), caption="against the most voted label"),
        html.table(
            head,
            of("votes"),
            caption="against people: the share of voters who chose the predicted class",
        ),
        _figure(figures, "selective", "Accuracy against coverage for every score"),
    )


def _routing(tables: Mapping, figures: Mapping, faces: Sequence, about: Mapping) -> Section | None:
    matched, thresholds, decisions = (
        tables.get(name) for name in ("matched", "thresholds", "decisions")
    )
    parts = []
    if thresholds and decisions:
        parts.append(
            _p(
                f"Thresholds were chosen on {thresholds['valid_faces']:,} valid faces and nowhere else: reject above epistemic "
                f"{html.cell(thresholds['epistemic'], 4)} nats (bounds the false rejection of clean faces at {thresholds['false_rejection']:.0%}), "
                f"else defer above aleatoric {html.cell(thresholds['aleatoric'], 4)} nats ({thresholds['defer_share']:.0%} of the valid faces), "
                "else accept."
            )
        )
        rows = [
            (
                name,
                *(f"{r[a]:.1%}" for a in ("accept", "defer", "reject")),
                r.get("accept_accuracy"),
                r.get("accept_vote_accuracy"),
            )
            for name, r in decisions.items()
        ]
        if "routers" in thresholds:
            parts.append(
                html.details(
                    "Every router's thresholds and certificate", _outline(thresholds["routers"])
                )
            )
        made = html.table(
            (
                "condition",
                "accept",
                "defer",
                "reject",
                "accuracy of accepted",
                "people agree with accepted",
            ),
            rows,
        )
        parts.append(
            made
            if len(rows) <= 8
            else html.details(f"What happens to each of {len(rows)} conditions", made)
        )
    else:
        parts.append(
            _p(
                "No condition named valid was given, so no thresholds were chosen; what follows compares scores at matched rejection."
            )
        )
    parts.append(
        _figure(
            figures,
            "plane",
            "Faces in the plane of aleatoric and epistemic uncertainty",
            "Every dot is a face. Right: ambiguous. Up: unfamiliar.",
        )
    )
    if matched:
        parts += [
            "<h3>Reject scores at matched rejection</h3>",
            _p(
                "Each score, at the threshold that removes 70, 80 or 90 % of the corrupted faces: the share of ambiguous clean faces that "
                "survives. The area under that curve is 0.5 for a random router, which is always in the table. Lowest: the corruption it serves "
                "worst."
            ),
            *_matched(matched),
        ]
        for name, pool in (tables.get("matched_pools") or {}).items():
            parts.append(
                html.details(f"The same against the pool “{name}”", "".join(_matched(pool)))
            )
        parts.append(
            _figure(figures, "routing", "Ambiguous faces kept against corrupted faces rejected")
        )
    parts += [
        *_consequences(tables.get("consequences") or {}),
        *(
            html.details(f"Learned router: {label(name)}", _outline(of))
            for name, of in (tables.get("learned") or {}).items()
        ),
    ]
    return html.section("routing", "Routing: accept, defer, reject", *parts)


def _matched(matched: Mapping) -> Iterator[str]:
    """The comparison, with whatever further figures a row carries; nested ones are folded away."""
    rejections = list(next(iter(matched.values()))["retention"])
    extra = sorted(
        {
            key
            for row in matched.values()
            for key, value in row.items()
            if key not in ("auc", "retention", "ratio")
            and (not isinstance(value, Mapping) or "value" in value)
            and not isinstance(value, list | str)
        }
    )
    head = (
        "reject score",
        "area",
        *(f"kept at {float(r):.0%}" for r in rejections),
        "× single at 80%",
        *(e.replace("_", " ") for e in extra),
    )
    yield html.table(
        head,
        [
            (
                label(name) if name != "random" else "random router",
                row.get("auc"),
                *(row["retention"].get(r) for r in rejections),
                (row.get("ratio") or {}).get("0.8"),
                *(row.get(e) for e in extra),
            )
            for name, row in matched.items()
        ],
        main=(label("epistemic"),),
    )
    nested: dict[str, list] = {}
    for name, row in matched.items():
        for key, value in row.items():
            if (
                key not in ("retention", "ratio")
                and isinstance(value, Mapping)
                and "value" not in value
            ):
                nested.setdefault(key, []).append((label(name), value))
    for key, rows in nested.items():
        columns = list(dict.fromkeys(column for _, value in rows for column in value))
        cells = [(name, *(_leaf(value.get(c)) for c in columns)) for name, value in rows]
        yield html.details(
            key.replace("_", " "),
            html.table(("reject score", *(str(c).replace("_", " ") for c in columns)), cells),
        )


def _consequences(table: Mapping) -> Iterator[str]:
    """What each score does at its own conformal threshold, a table per set of faces."""
    for group in dict.fromkeys(group for of in table.values() for group in of):
        rows = [
            (
                label(name),
                f"{of[group]['rejected']:.1%}",
                *(
                    of[group].get(f"{quantity}_{word}")
                    for quantity in ("accuracy", "vote_error")
                    for word in ("kept", "rejected")
                ),
            )
            for name, of in table.items()
            if group in of
        ]
        yield html.details(
            f"Each score at its own conformal threshold: {group.replace('_', ' ')}",
            html.table(
                (
                    "reject score",
                    "rejected",
                    "accuracy kept",
                    "accuracy rejected",
                    "vote error kept",
                    "vote error rejected",
                ),
                rows,
            ),
        )


def _outline(value: Any) -> str:
    """Nested tables as a list, for what has no table of its own."""
    if isinstance(value, Mapping) and "value" not in value:
        items = (
            f"<li>{html.escape(str(key).replace('_', ' '))}: {_outline(inner)}</li>"
            for key, inner in value.items()
        )
        return f"<ul>{''.join(items)}</ul>"
    if isinstance(value, list | tuple):
        return ", ".join(_outline(inner) for inner in value)
    return html.cell(value)


def _leaf(value: Any) -> Any:
    """What one cell can show of a nested table: its area where it has one."""
    if isinstance(value, Mapping) and "value" not in value:
        return value.get("auc")
    return value


def _members(tables: Mapping, figures: Mapping, faces: Sequence, about: Mapping) -> Section:
    s = tables["sensitivity"]
    names = {
        "accuracy": "accuracy",
        "nll": "NLL of the votes",
        "spearman": "ρ(aleatoric, δ)",
        "shift_auroc": "shift AUROC of epistemic",
        "rank_correlation": "ρ(aleatoric, epistemic)",
        "mean_epistemic": "mean epistemic (nats)",
        "mean_epistemic_corrected": "the same × K/(K − 1)",
    }
    sizes = [
        (title, *(_range(row.get(name)) for row in s["sizes"].values()))
        for name, title in names.items()
        if any(row.get(name) for row in s["sizes"].values())
    ]
    parts = [
        _p(
            "Every sub-ensemble of each size (a random sample where there are too many), not just the first members: mean, and range."
        ),
        _figure(figures, "sensitivity", "Headline figures against the number of members"),
        html.details(
            "In numbers",
            html.table(
                ("figure", *(f"K = {k} ({row['subsets']})" for k, row in s["sizes"].items())), sizes
            ),
        ),
    ]
    if s["jackknife"]:
        rows = [
            (title, s["jackknife"][name]["value"], s["jackknife"][name]["standard_error"])
            for name, title in names.items()
            if name in s["jackknife"]
        ]
        parts += [
            "<div class=pair>",
            html.table(
                ("figure", "value", "± over members"),
                rows,
                caption="jackknife: leaving one member out",
            ),
        ]
        if s["face_standard_error"]:
            rows = [
                (part, row["mean"], row["standard_error"])
                for part, row in s["face_standard_error"].items()
            ]
            parts.append(html.table(("mean face", "nats, bias-corrected", "± over members"), rows))
        parts.append("</div>")
    forms = {
        "expected_pairwise_kl": "expected pairwise KL",
        "variance_epistemic": "variance form, epistemic",
        "variance_aleatoric": "variance form, aleatoric",
        "jackknife_epistemic": "epistemic, jackknifed",
    }
    parts += [
        "<h3>Forms other than the entropy split</h3>",
        html.table(
            ("form", "ρ with δ", "shift AUROC"),
            [
                (forms.get(n, n), r["spearman"], r.get("shift_auroc"))
                for n, r in tables["forms"].items()
            ],
        ),
    ]
    parts += [
        "<h3>Which classes it comes from</h3>",
        _figure(figures, "contributions", "Contribution of each class to both uncertainties"),
        html.details(
            "In numbers",
            html.table(
                (
                    "class",
                    "share of votes",
                    "aleatoric",
                    "epistemic",
                    "aleatoric, corrupted",
                    "epistemic, corrupted",
                ),
                [
                    (
                        n,
                        r["votes"],
                        r["aleatoric"],
                        r["epistemic"],
                        r.get("aleatoric_shifted"),
                        r.get("epistemic_shifted"),
                    )
                    for n, r in tables["contributions"].items()
                ],
                digits=4,
            ),
        ),
    ]
    return html.section("members", "What depends on the members", *parts)


def _range(row: Mapping | None) -> Any:
    return None if row is None else {"value": row["mean"], "low": row["min"], "high": row["max"]}


def _faces(tables: Mapping, figures: Mapping, faces: Sequence, about: Mapping) -> Section | None:
    if not faces:
        return None
    groups = "".join(
        f"<h3>{html.escape(group['title'])}</h3><div class=faces>"
        + "".join(f'<div><img src="{f["uri"]}" alt="">{f["text"]}</div>' for f in group["faces"])
        + "</div>"
        for group in faces
    )
    return html.section(
        "faces", "Faces of each region", _p("From the pictures this evaluation was given."), groups
    )


def _paper(tables: Mapping, figures: Mapping, faces: Sequence, about: Mapping) -> Section:
    base = ("gnoise", "blur", "occlude", "bright", "pixelate")
    corruptions = tables["v2"]["corruptions"]
    matched = tables.get("matched") or {}
    five = [
        corruptions[name][5]["epistemic"]["value"]
        for name in base
        if 5 in corruptions.get(name, {})
    ]
    epistemic = matched.get("epistemic") or {}
    mean = sum(five) / 5 if len(five) == 5 else None
    if mean is not None and set(corruptions) == set(
        base
    ):  # then the curve is that mean, with its interval
        mean = tables["v2"]["curve"]["epistemic"][5]
    rows = [
        (
            "ρ(aleatoric, human disagreement), FER+ test",
            tables["cross"]["aleatoric"]["disagreement"],
            "0.66 (0.64 – 0.68)",
        ),
        ("mean AUROC of epistemic, severity 5, five base corruptions", mean, "0.699"),
        ("routing area (a random router has 0.500)", epistemic.get("auc"), "0.424"),
        (
            "ambiguous faces kept at 80 % rejection, against single-uncertainty routing",
            (epistemic.get("ratio") or {}).get("0.8"),
            "about 1.8 ×",
        ),
    ]
    return html.section(
        "paper",
        "Beside the paper",
        html.table(("figure", "here", "arXiv 2606.22725"), rows),
        _p(
            "The paper's figures are for FER+ with five fine-tuned ViT-B/14. Other faces, other models or other corruptions are not "
            "expected to reproduce them; its headline routing area lies below a random router's."
        ),
    )


def _how(tables: Mapping, figures: Mapping, faces: Sequence, about: Mapping) -> Section:
    rows = [
        (name, str(value))
        for name, value in {
            **about.get("versions", {}),
            "seed": about.get("seed"),
            "command": about.get("command"),
        }.items()
        if value is not None
    ]
    config = about.get("config")
    return html.section(
        "how",
        "How this was made",
        html.table(("", ""), rows),
        *(
            [
                html.details(
                    "Configuration", f"<pre>{html.escape(json.dumps(config, indent=2))}</pre>"
                )
            ]
            if config
            else []
        ),
    )
