"""A simulated participant: actions that change a small world, its facts, and the truth about each criterion.

The actions keep the truth themselves: they know who did what, and look at no criterion.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count

from workshop.core.parameters import safe_run_name
from workshop.course.facts import (
    EVALUATION,
    NEW_TRAINING,
    NOTEBOOKS,
    PREPARATION,
    SCORING,
    TRAINING,
    Cell,
    Change,
    Clone,
    Event,
    Facts,
    Home,
    KitRun,
    Notebook,
    Person,
    PipelineRun,
    Registry,
    Request,
    Team,
    Version,
    ancestors,
)

SUBMIT, UNIT_TEST, CI, CD = "part_2_submit.yml", "workshop_unit_test.yml", "ci.yml", "cd.yml"
OLD = "with mlflow.start_run() as training_run:\n    model = RandomForestClassifier()"
NEW = "import optuna\nwith mlflow.start_run() as training_run:\n    model = search()"
REPOSITORY = "/home/.workshop/devops/repository.git"
SHORT = {"1_1": PREPARATION, "1_2": TRAINING, "1_3": EVALUATION, "1_4": SCORING}
BASE = "0" * 40


def parameters(run_name: str = "") -> Cell:
    """Return a parameters cell."""
    return Cell(f'run_name: str = "{run_name}"  # yours', tags=frozenset({"parameters"}))


def notebook(name: str, run_name: str = "", training: tuple[str, ...] = (OLD,), text: str = "") -> Notebook:
    """Return the cells of a notebook of the kit."""
    cells = [Cell(f"# A title {text}", "markdown"), parameters(run_name)]
    if name in {TRAINING, NEW_TRAINING}:
        code = (NEW,) if name == NEW_TRAINING else training
        cells += [Cell(each, tags=frozenset({"training"}), heading="Train") for each in code]
    return tuple(cells)


CLEAN = {name: notebook(name) for name in (*SHORT.values(), NEW_TRAINING)}


@dataclass(frozen=True)
class Commit:
    """A commit, and the notebooks at it."""

    parents: tuple[str, ...]
    author: str
    files: frozenset[str]
    notebooks: dict[str, Notebook]
    broken: bool = False

    @property
    def searches(self) -> bool:
        """Whether its 1_2 trains the better model."""
        cells = self.notebooks[TRAINING] or ()
        return any(cell.source == NEW for cell in cells)


@dataclass
class World:
    """Everything that the facts are about, from the view of one participant."""

    person: str = "dev-ana"
    name: str = ""
    email: str = ""
    filtered: bool = False
    remote: str = ""
    current: str = "main"
    local: dict[str, str] = field(default_factory=lambda: {"main": BASE})
    commits: dict[str, Commit] = field(default_factory=lambda: {BASE: Commit((), "kit", frozenset(), CLEAN)})
    working: dict[str, Notebook] = field(default_factory=lambda: dict(CLEAN))
    working_broken: bool = False
    team: dict[str, str] | None = None
    start: str = ""
    """The commit that the team began with."""
    requests: list[Request] = field(default_factory=list)
    runs: list[PipelineRun] = field(default_factory=list)
    tables: set[str] = field(default_factory=set)
    kit_runs: list[KitRun] = field(default_factory=list)
    scored_by: set[str] = field(default_factory=set)
    production: str | None = None
    staging: str | None = None
    versions: list[Version] = field(default_factory=list)
    better: set[str] = field(default_factory=set)
    """The versions that the search has trained."""
    events: list[Event] = field(default_factory=list)
    truth: set[str] = field(default_factory=set)
    mine: set[str] = field(default_factory=set)
    """The merges, pull requests and versions in which the participant's change went on its way."""
    failed_push: bool = False
    given_back: set[str] = field(default_factory=set)
    _number: Iterator[int] = field(default_factory=lambda: count(1))

    # What others look at

    def owns(self, branch: str) -> bool:
        """Return whether a branch is the participant's."""
        return branch == self.person or branch.startswith(f"{self.person}-")

    @property
    def parents(self) -> dict[str, tuple[str, ...]]:
        """The parents of each commit."""
        return {digest: each.parents for digest, each in self.commits.items()}

    def facts(self) -> Facts:
        """Return what the readers would find."""
        team = self.team or {}
        branches = {each for each in (*self.local, *team) if self.owns(each)}
        who = self.person if branches else ""
        tip = self.commits[self.local[self.current]].notebooks
        here = {name: ancestors(self.parents, tip) for name, tip in self.local.items()}
        there = {name: ancestors(self.parents, tip) for name, tip in team.items()}
        changes = [
            Change(
                digest,
                each.files,
                frozenset(name for name in here if digest in here[name]),
                frozenset(name for name in there if digest in there[name]),
            )
            for digest, each in self.commits.items()
            if each.author == "ana" and len(each.parents) == 1
        ]
        return Facts(
            Person(who, frozenset(branches), frozenset(map(safe_run_name, branches))),
            Clone(
                path="/clone",
                user_name=self.name,
                user_email=self.email,
                filter_set=self.filtered,
                current=self.current,
                branches=frozenset(self.local),
                remote=self.remote,
                outdated=frozenset(name for name in here if self.start and self.start not in here[name]),
                changes=tuple(change for change in changes if change.local or change.pushed),
                committed={name: self.commits[{**team, **self.local}[name]].notebooks for name in branches},
                working=dict(self.working),
                modified=frozenset(
                    f"{NOTEBOOKS}{name}.ipynb" for name, cells in self.working.items() if cells != tip[name]
                ),
            ),
            Team(REPOSITORY if team else "", team, tuple(self.requests), tuple(self.runs), self.parents)
            if team or self.runs
            else None,
            Home("/home/.workshop", frozenset(self.tables), tuple(self.kit_runs), scored_by=frozenset(self.scored_by)),
            Registry(self.production, self.staging, tuple(self.versions), tuple(self.events)),
        )

    # Part 0

    def configure(self, name: str = "Ana", email: str = "ana@example.org") -> None:
        """Set Git's identity."""
        self.name, self.email = name, email
        self._set("identity", bool(name) and "@" in email)

    def make_setup(self) -> None:
        """Set the Git filter."""
        self.filtered = True
        self.truth.add("filter")

    def make_cd(self) -> None:
        """Make the tables, train a model, and deliver it if it is better."""
        self.tables |= {"development", "production", "prepared/no_name"}
        self.truth.add("tables")
        version = self._train("no_name", self._searches())
        self._decide(version, "no_name", "production", self.local[self.current])
        self.truth.add("baseline")

    def devops_start(self) -> None:
        """Make the team's repository from the current branch."""
        if self.team is None:
            tip = self.local[self.current]
            self.team, self.start = {"main": tip, "integration": tip}, tip
        self.remote = REPOSITORY
        self.truth.add("team")
        self._look_at_branches()

    # Part 1

    def switch(self, branch: str, start: str = "") -> None:
        """Check a branch out; create it if it is new."""
        if branch not in self.local:
            begin = (self.team or {}).get(start, self.local[self.current])
            self.local[branch] = begin
        self.current = branch
        self.working, self.working_broken = dict(self.commits[self.local[branch]].notebooks), False
        self._look_at_branches()

    def run_in_jupyter(self, notebook_name: str, run_name: str) -> None:
        """Set the run name in a notebook, and run it."""
        if self.working_broken and notebook_name == "1_1":
            return
        self._type_run_name(SHORT[notebook_name], run_name)
        self._execute(notebook_name, safe_run_name(run_name))

    def restore(self) -> None:
        """Check the notebooks out again."""
        self.working = dict(self.commits[self.local[self.current]].notebooks)
        self.working_broken = False
        self._look_at_notebooks()

    # Part 2

    def workshop_run(self, run_name: str, target: str = "local", sample: float = 1.0, only: str = "") -> None:
        """Run the notebooks headlessly."""
        name, failed = safe_run_name(run_name), self.working_broken
        if not failed:
            for each in [only] if only else ["1_1", "1_2", "1_3"]:
                self._execute(each, name, remote=target != "local")
        run_id = f"run-{next(self._number)}-{name}"
        self.kit_runs.append(
            KitRun(
                run_id, name, "failed" if failed else "done", target=target,
                run_page="https://page" if target != "local" else "",
                submitted_by="5f1d-id" if target != "local" else "",
                parameters={"sample": sample} if sample < 1 else {},
                notebooks={PREPARATION: "failed" if failed else "succeeded"},
            )
        )  # fmt: skip
        if name in self._run_names() and not failed:
            self.truth.add("headless" if target == "local" else "remote")
            if sample < 1:
                self.truth.add("sample")

    def start_pipeline(self, file: str, branch: str, waits: bool = True) -> None:
        """Start a pipeline by hand."""
        if branch not in self.local and branch not in (self.team or {}):
            return
        commit = {**self.local, **(self.team or {})}[branch]
        broken = self.commits[commit].broken
        if file == CD:
            self._cd(branch, commit, "manual")
        elif file == CI:
            self._ci(branch, commit, "manual")
        else:
            fails = broken and (waits or file != SUBMIT)
            issues = ("part_1_1_data_prep, cell 3: NameError",) if fails else ()
            log = "Run 7 is submitted.\nThe notebook failed: its page shows why.\n" if file == SUBMIT else ""
            self._pipeline(file, branch, commit, "failed" if fails else "succeeded", "manual", issues=issues)
            self._replace_run(len(self.runs), log_end=log)
            if fails and file == SUBMIT and self.owns(branch):
                self.truth.add("waits")
            if file == UNIT_TEST and self.owns(branch):
                self._set("mended", self.failed_push and not fails)
        if self.owns(branch) and self.runs[-1].state == "completed":
            self.truth.add("by_hand")

    # Part 3

    def edit(self, notebook_name: str, broken: bool = False, text: str = "") -> None:
        """Change a text of a notebook, and perhaps break 1_1."""
        name = SHORT[notebook_name]
        cells = self.working[name] or ()
        self.working[name] = (replace(cells[0], source=f"# {text or next(self._number)}"), *cells[1:])
        if name == PREPARATION:
            self.working_broken = broken

    def paste_search(self, where: str = "over") -> None:
        """Paste Part 4's cell over the training cell, below it, or into 1_3."""
        if where == "1_3":
            self.working[EVALUATION] = (*(self.working[EVALUATION] or ()), Cell(NEW))
            return
        cells = tuple(cell for cell in self.working[TRAINING] or () if "training" not in cell.tags)
        code = (NEW,) if where == "over" else (OLD, NEW)
        self.working[TRAINING] = (*cells, *(Cell(each, tags=frozenset({"training"})) for each in code))

    def commit(self, author: str = "ana") -> None:
        """Commit all changes on the current branch."""
        tip = self.local[self.current]
        before = self.commits[tip]
        files = {name for name, cells in self.working.items() if cells != before.notebooks[name]}
        if not files and self.working_broken == before.broken:
            return
        digest = f"{next(self._number):040x}"
        paths = frozenset(f"{NOTEBOOKS}{name}.ipynb" for name in files)
        self.commits[digest] = Commit((tip,), author, paths, dict(self.working), self.working_broken)
        self.local[self.current] = digest
        if self.owns(self.current) and PREPARATION in files and author == "ana":
            self.truth.add("changed")
        self._look_at_branches()

    def push(self, branch: str = "", to: str = "") -> None:
        """Push a branch of the clone, which main and integration refuse."""
        branch, to = branch or self.current, to or branch or self.current
        if self.team is None or to in {"main", "integration"} or branch not in self.local:
            return
        old, new = self.team.get(to, self.team["main"]), self.local[branch]
        if new == self.team.get(to):
            return
        self.team[to] = new
        pushed = ancestors(self.parents, new) - ancestors(self.parents, old)
        files = {file for digest in pushed for file in self.commits[digest].files}
        own = [self.commits[digest] for digest in ancestors(self.parents, new) if self.commits[digest].author == "ana"]
        has_change = any(f"{NOTEBOOKS}{PREPARATION}.ipynb" in each.files for each in own if len(each.parents) == 1)
        if has_change and self.owns(to):
            self.truth.add("pushed")
        if files:
            broken = self.commits[new].broken
            issues = ("part_1_1_data_prep, cell 3: NameError",) if broken else ()
            self._pipeline(UNIT_TEST, to, new, "failed" if broken else "succeeded", issues=issues)
            if self.owns(to):
                self.failed_push |= broken
                if broken:
                    self.truth.add("failed")
                self._set("mended", self.failed_push and not broken)
                if has_change:
                    self.truth.add("triggered")
        self._look_at_branches()

    # Parts 4 and 5

    def pr_create(self, source: str, target: str, author: str = "Ana") -> None:
        """Open a pull request by hand."""
        if self.team is None or source not in self.team or self._is_merged(source, target):
            return
        same = [each for each in self.requests if (each.source, each.target, each.status) == (source, target, "active")]
        if not same:
            self.requests.append(Request(len(self.requests) + 1, source, target, author))
        if self.owns(source) and target == "integration":
            self.truth.add("request")

    def pr_abandon(self, number: int) -> None:
        """Close a pull request without merging it."""
        if any(each.number == number and each.status == "active" for each in self.requests):
            self._replace_request(number, status="abandoned")
        own = [r for r in self.requests if self.owns(r.source) and r.target == "integration"]
        self._set("request", any(each.status != "abandoned" for each in own))

    def pr_complete(self, number: int, by: str) -> None:
        """Merge a pull request, which starts CI or CD."""
        found = next((each for each in self.requests if each.number == number and each.status == "active"), None)
        if found is None or self.team is None or self.commits[self.team[found.source]].broken:
            return
        old, new = self.team[found.target], self.team[found.source]
        digest = f"{next(self._number):040x}"
        self.commits[digest] = Commit((old, new), "server", frozenset(), self.commits[new].notebooks)
        self.team[found.target] = digest
        self._replace_request(number, status="completed", completed_by=by, merge_commit=digest)
        merged = ancestors(self.parents, new) - ancestors(self.parents, old)
        if found.target == "integration":
            if self.owns(found.source):
                self.truth.add("merged")
                self.mine.add(digest)
            if any(self.commits[each].files for each in merged):
                self._ci("integration", digest, "individualCI")
        elif found.target == "main":
            if found.source == "integration" and by != found.author and self.mine & ancestors(self.parents, digest):
                self.truth.add("approved_merge")
                self.mine.add(f"to main {digest}")
            if any(self.commits[each].files for each in merged):
                self._cd("main", digest, "individualCI")

    def approve(self, number: int, by: str = "Bob", reject: bool = False) -> None:
        """Answer the approval that a deployment waits for."""
        run = next((each for each in self.runs if each.number == number), None)
        if run is None or run.state != "waiting for approval":
            return
        if reject:
            self._replace_run(number, state="completed", result="failed")
            return
        better = self._compare(run.commit, "main", "production")
        result = "succeeded" if better else "succeeded with issues"
        self._replace_run(number, state="completed", result=result, approved_by=by)
        if better and f"to main {run.commit}" in self.mine:
            self.truth |= {"delivered", "promoted"}
            self.mine.add(f"promoted {better}")
            if self.events[-1].champion:
                self.truth.add("archived")
        self._look_at_production()

    def rollback(self) -> None:
        """Give Production back to the version that held it before."""
        swaps = [event for event in self.events if event.kind in {"promotion", "rollback", "override"}]
        back = swaps[-1].champion if swaps else None
        if back is None or self.production is None:
            return
        if f"promoted {self.production}" in self.mine:
            self.given_back.add(self.production)
        self._swap("rollback", back, "", "")

    def override(self, version: str) -> None:
        """Give Production to a version without a comparison."""
        if version in {each.number for each in self.versions} and version != self.production:
            self._swap("override", version, "", "")
            self.truth.add("baseline")

    def score(self) -> None:
        """Score with the version in Production."""
        if self.production:
            self.scored_by = {self.production}
        self._look_at_production()

    # How the world answers

    def _set(self, criterion: str, holds: bool) -> None:
        self.truth = self.truth | {criterion} if holds else self.truth - {criterion}

    def _run_names(self) -> set[str]:
        return {safe_run_name(each) for each in (*self.local, *(self.team or {})) if self.owns(each)}

    def _searches(self) -> bool:
        return any(cell.source == NEW for cell in self.working[TRAINING] or ())

    def _type_run_name(self, name: str, run_name: str) -> None:
        self.working[name] = tuple(
            parameters(run_name) if "parameters" in cell.tags else cell for cell in self.working[name] or ()
        )
        self._look_at_notebooks()

    def _execute(self, notebook_name: str, run_name: str, remote: bool = False) -> None:
        if remote:
            return  # the workspace has tables and a registry of its own
        own = [each.number for each in self.versions if each.run_name == run_name]
        if notebook_name == "1_1" and "development" in self.tables:
            self.tables.add(f"prepared/{run_name}")
        elif notebook_name == "1_2" and f"prepared/{run_name}" in self.tables:
            self._train(run_name, self._searches())
        elif notebook_name == "1_3" and own:
            self._decide(own[-1], run_name, "staging", self.local[self.current])
        self._look_at_runs()

    def _look_at_runs(self) -> None:
        """Names decide; a branch may come after the run that was given its name."""
        names = self._run_names()
        own = {each.number for each in self.versions if each.run_name in names}
        self._set("prepared", any(f"prepared/{name}" in self.tables for name in names))
        self._set("candidate", bool(own))
        self._set("judged", any(e.version in own and e.run_name in names for e in self.events))
        for criterion, target in (("headless", "local"), ("remote", "databricks")):
            done = [run for run in self.kit_runs if run.run_name in names and run.status == "done"]
            self._set(criterion, any(run.target == target for run in done))
            self._set("sample", any("sample" in run.parameters for run in done))
        self._look_at_notebooks()

    def _look_at_notebooks(self) -> None:
        tips = [self.commits[tip].notebooks for name, tip in self._newest().items() if self.owns(name)]
        cells = [cell for each in (self.working, *tips) for found in each.values() for cell in found or ()]
        clean = all(cell.source == parameters().source for cell in cells if "parameters" in cell.tags)
        self._set("restored", clean and "candidate" in self.truth)

    def _newest(self) -> dict[str, str]:
        return {**(self.team or {}), **self.local}

    def _look_at_branches(self) -> None:
        begins = self.start in ancestors(self.parents, self.local.get(self.person, ""))
        self._set("branch", bool(self.start) and begins and self.person == self.person.lower())
        tips = [self.commits[tip] for name, tip in self._newest().items() if self.owns(name)]
        code = [[cell.source for cell in each.notebooks[TRAINING] or ()] for each in tips]
        self._set("search", any(NEW in each and OLD not in each for each in code))
        own = [digest for digest, each in self.commits.items() if each.author == "ana" and len(each.parents) == 1]
        prepared = {digest for digest in own if f"{NOTEBOOKS}{PREPARATION}.ipynb" in self.commits[digest].files}
        reached = ancestors(self.parents, *(tip for name, tip in self._newest().items() if self.owns(name)))
        there = ancestors(self.parents, *(tip for name, tip in (self.team or {}).items() if self.owns(name)))
        self._set("changed", bool(prepared & (reached | there)))
        self._set("pushed", bool(prepared & there))
        self._look_at_runs()

    def _look_at_production(self) -> None:
        self._set("scored", self.production is not None and self.production in self.scored_by)
        self._set("rolled_back", any(f"promoted {v}" in self.mine and v == self.production for v in self.given_back))

    def _train(self, run_name: str, searches: bool, commit: str = "") -> str:
        version = str(len(self.versions) + 1)
        self.versions.append(Version(version, run_name, commit or self.local[self.current]))
        if searches:
            self.better.add(version)
        return version

    def _is_better(self, version: str) -> bool:
        return self.production is None or (version in self.better and self.production not in self.better)

    def _decide(self, version: str, run_name: str, slot: str, commit: str) -> bool:
        if not self._is_better(version):
            self.events.append(Event("rejection", version, self.production, run_name, commit))
        elif slot == "production":
            self._swap("promotion", version, run_name, commit)
        else:
            self.staging = version
            self.events.append(Event("staging", version, self.production, run_name, commit))
        return self.events[-1].kind != "rejection"

    def _swap(self, kind: str, version: str, run_name: str, commit: str) -> None:
        self.events.append(Event(kind, version, self.production, run_name, commit))
        self.versions = [
            replace(each, archived=True) if each.number == self.production else each for each in self.versions
        ]
        self.production = version
        self._look_at_production()

    def _compare(self, commit: str, run_name: str, slot: str) -> str:
        """Train and decide in a pipeline; return the version if it is better, else nothing."""
        version = self._train(run_name, self.commits[commit].searches, commit)
        self.tables.add(f"prepared/{run_name}")
        return version if self._decide(version, run_name, slot, commit) else ""

    def _ci(self, branch: str, commit: str, reason: str) -> None:
        version = self._compare(commit, safe_run_name(branch), "staging")
        tags = frozenset({"staged" if version else "not better"})
        self._pipeline(CI, branch, commit, "succeeded" if version else "failed", reason, tags)
        own = commit in self.mine and branch == "integration"
        if own:
            self.truth |= {"integrated", "staged"} if version else {"stopped"}
        if version and branch == "integration" and self.team and not self._is_merged(branch, "main"):
            description = f"## Version {version} holds Staging: it is better"
            active = [r for r in self.requests if (r.source, r.target, r.status) == (branch, "main", "active")]
            if active:
                self._replace_request(active[0].number, description=description)
            else:
                self.requests.append(Request(len(self.requests) + 1, branch, "main", "Ana", description=description))
            self._set("proposed", "proposed" in self.truth or own)
        self._look_at_runs()

    def _cd(self, branch: str, commit: str, reason: str) -> None:
        if branch == "main":
            self._pipeline(CD, branch, commit, None, reason, state="waiting for approval", deploys=True)
            return
        run_name = safe_run_name(branch)
        version = self._train(run_name, self.commits[commit].searches, commit)
        self.tables.add(f"prepared/{run_name}")
        self.events.append(Event("comparison", version, self.production, run_name, commit))
        result = "succeeded" if self._is_better(version) else "succeeded with issues"
        self._pipeline(CD, branch, commit, result, reason)
        if self.owns(branch):
            self.truth.add("compared")
        self._look_at_runs()

    def _pipeline(  # the fields of a run
        self,
        file: str,
        branch: str,
        commit: str,
        result: str | None,
        reason: str = "individualCI",
        tags: frozenset[str] = frozenset(),
        issues: tuple[str, ...] = (),
        state: str = "completed",
        deploys: bool = False,
    ) -> None:
        self.runs.append(
            PipelineRun(
                len(self.runs) + 1, file, branch, commit, reason, state, result, issues, tags=tags, deploys=deploys
            )
        )

    def _is_merged(self, source: str, target: str) -> bool:
        return self.team is not None and self.team[source] in ancestors(self.parents, self.team[target])

    def _replace_request(self, number: int, **fields: str) -> None:
        self.requests = [replace(r, **fields) if r.number == number else r for r in self.requests]  # type: ignore[arg-type]

    def _replace_run(self, number: int, **fields: str) -> None:
        self.runs = [replace(r, **fields) if r.number == number else r for r in self.runs]  # type: ignore[arg-type]


Action = str | tuple[object, ...]
"""A method of the world, with its arguments."""
SOLUTION: dict[int, list[Action]] = {
    0: ["configure", "make_setup", "make_cd", "devops_start"],
    1: [
        ("switch", "dev-ana", "integration"), ("run_in_jupyter", "1_1", "dev-ana"),
        ("run_in_jupyter", "1_2", "dev-ana"),
        ("run_in_jupyter", "1_3", "dev-ana"), "restore",
    ],
    2: [
        ("workshop_run", "dev-ana"), ("workshop_run", "dev-ana", "local", 0.1, "1_1"),
        ("workshop_run", "dev-ana", "databricks"),
        ("edit", "1_1", True), "commit", ("start_pipeline", SUBMIT, "dev-ana"), ("edit", "1_1"), "commit",
    ],
    3: [("edit", "1_1", True), "commit", "push", ("edit", "1_1"), "commit", "push"],
    4: [
        ("pr_create", "dev-ana", "integration"), ("pr_complete", 1, "Ana"), "paste_search", "commit", "push",
        ("pr_create", "dev-ana", "integration"), ("pr_complete", 2, "Ana"),
    ],
    5: [
        ("start_pipeline", CD, "dev-ana"), ("pr_complete", 3, "Bob"), ("approve", 8), "rollback", "rollback", "score",
    ],
}  # fmt: skip
"""The reference solution of each part, as actions."""


def solved(last: int, before: int = -1, **start: str) -> World:
    """Return the world after the solutions of the parts up to `last`, without the last `before` actions if given."""
    world = World(**start)  # type: ignore[arg-type]
    actions = [action for part in range(last + 1) for action in SOLUTION[part]]
    act(world, *(actions if before < 0 else actions[: len(actions) - before]))
    return world


def act(world: World, *actions: Action) -> World:
    """Carry the actions out, and return the world."""
    for action in actions:
        name, *arguments = (action,) if isinstance(action, str) else action
        getattr(world, str(name))(*arguments)
    return world
