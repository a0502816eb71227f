"""What scores and figures are, in a sentence each, for the report."""

from collections.abc import Iterable

from ferjax.evaluation.scores import label
from ferjax.report import html

__all__ = ["meaning", "scores_in_words"]

_SCORES = {
    "aleatoric": "what the members agree to be ambiguous: people would disagree too",
    "epistemic": "what the ensemble does not know: its members contradict each other, or each "
    "knows little of how people divide",
    "between": "how far the members contradict each other, the paper's epistemic uncertainty",
    "within": "how little each member knows of how people divide",
    "mean_entropy": "how undecided the members are on average, the paper's aleatoric uncertainty",
    "expected_disagreement": "the share of people expected not to choose what most choose",
    "vacuity": "how few votes' worth of knowledge the members have of an item",
    "single_entropy": "how undecided one member is, as a single network would be",
    "total": "how undecided the whole prediction is: aleatoric and epistemic together",
    "max_prob": "the probability of all classes but the likeliest, by the ensemble",
    "single_max_prob": "the same by one member, as a single network would say",
    "expected_pairwise_kl": "how far two members differ, on average over pairs",
    "epistemic_given_aleatoric": "epistemic uncertainty among items that are as ambiguous",
    "energy": "how small the network's outputs are before they become probabilities",
    "head_mahalanobis": "distance of the network's last features from those of training items",
    "head_relative": "that distance, less what any item has",
    "head_density": "how rare the last features are among the training items of each class",
    "head_neighbour": "distance of the last features from the nearest training item",
    "texture": "how rare fine detail of this kind is among the training pictures",
    "ood_density": "how unlike the training pictures it is, by texture and early features",
    "predicted_disagreement": "what a head that learnt people's disagreement says",
    "scn": "how little weight the network gives an item that it takes for mislabelled",
    "l_uar": "the probability of corruption that a model learnt from seven figures of the ensemble",
    "l_uar_density": "the same, learnt from densities as well",
    "error": "the learnt probability that the answer is wrong",
    "excess_error": "how much likelier an error is than the ensemble admits",
    "random": "rejecting at random",
}
"""Score -> what it is."""


def meaning(score: str) -> str:
    """What a score is, in a few words; empty for one that whoever made the predictions brought.

    >>> meaning("total"), meaning("block_2"), meaning("theirs")
    ('how undecided the whole prediction is: aleatoric and epistemic together', 'distance of the
    features after block 2 from those of training items', '')
    """
    if score.startswith("block_"):
        block = score.removeprefix("block_")
        return f"distance of the features after block {block} from those of training items"
    return _SCORES.get(score, "")


def scores_in_words(names: Iterable[str]) -> str:
    """A folded table of scores and what they are, for where the first of many stands."""
    rows = [(label(n), meaning(n) or "a score that the predictions bring") for n in names]
    made = html.table(("score", "what it is; larger is more uncertain"), rows, texts=True)
    return html.details("What each score is", made)
