"""Many forests from one: of one split of the wines, the answers of single trees, of which any number make a forest."""

from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from workshop.core.data import datasets
from workshop.core.data.originals import read_originals
from workshop.core.data.schemas import FEATURES, TARGET


@dataclass
class Trees:
    """Fitted trees, dealt out to forests without putting any back, so that the forests are independent."""

    target: np.ndarray
    """The labels of the production wines, shape `(rows,)`."""
    answers: np.ndarray
    """The probabilities of each tree, shape `(trees, rows)`."""
    dealt: int = 0

    @classmethod
    def on_split(cls, seed: int, trees: int) -> "Trees":
        """Split the wines by that seed, and fit that many trees on the training part."""
        development, held_out = datasets.split_off_production(read_originals(), seed)
        train = datasets.split_prepared(datasets.prepare(development)).train
        production = datasets.prepare(held_out)
        forest = RandomForestClassifier(trees, random_state=seed).fit(train[FEATURES].to_numpy(), train[TARGET])
        rows = production[FEATURES].to_numpy().astype("float32")
        answers = np.array([tree.predict_proba(rows)[:, 1] for tree in forest.estimators_])
        return cls(production[TARGET].to_numpy(), answers)

    def forest(self, trees: int) -> np.ndarray:
        """Return the probabilities of a forest of the next trees: their mean, as RandomForestClassifier computes it."""
        first, self.dealt = self.dealt, self.dealt + trees
        if self.dealt > len(self.answers):
            raise ValueError(f"only {len(self.answers)} trees were fitted")
        return np.asarray(self.answers[first : self.dealt].mean(axis=0))
