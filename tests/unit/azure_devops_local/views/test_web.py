"""The content of the pages, over real HTTP."""

import re

from tests.support import sample_runs
from tests.support.web_site import Site


def test_the_front_page_lists_runs_newest_first_and_pull_requests_active_first(site: Site) -> None:
    for make in (sample_runs.succeeded, sample_runs.failed, sample_runs.running, sample_runs.waiting):
        make()
    sample_runs.pull_requests()
    tree = site.tree("/")
    runs, requests = tree.select("ol.list")
    assert [str(link["href"]) for link in runs.select("li > a")] == ["/runs/4", "/runs/3", "/runs/2", "/runs/1"]
    assert [word.text for word in runs.select(".word")] == ["waiting for approval", "running", "failed", "succeeded"]
    assert "workshop devops approve 4" in runs.text
    oldest = " ".join(runs.select("li")[-1].text.split())
    for fact in ("Merged PR 2: integration into main", "cd.yml #1", "main", "2f6c1d8b", "Ana", "1 min 18 s"):
        assert fact in oldest
    assert [str(link["href"]) for link in requests.select("li > a")] == ["/pull-requests/2", "/pull-requests/1"]
    opened = " ".join(requests.select("li")[0].text.split())
    assert "integration into main" in opened
    assert "succeeded : workshop_unit_test.yml on the merge (run 1)" in re.sub(r" ?:", " :", opened)
    assert "another person than ci.yml completes it" in opened


def test_the_front_page_shows_what_was_announced_last_for_an_environment(site: Site) -> None:
    for announced in ("Version 3 is *promoted*; version 1\\_a is archived", "Version 4 is not better"):
        sample_runs.put(sample_runs.succeeded(), "summaries/decision.md", f"## {announced}.\n\nMore.\n")
    sample_runs.waiting()
    tree = site.tree("/")
    (latest,) = tree.select(".latest")
    shown = " ".join(latest.text.split())
    assert shown.startswith("Version 4 is not better. The last deployment to production, by run 2 ·")
    assert [line.text for line in tree.select(".outcome")] == [
        "Version 4 is not better.",
        "Version 3 is promoted; version 1_a is archived.",
    ]


def test_one_stage_has_no_second_icon_and_a_waiting_run_no_duration(site: Site) -> None:
    sample_runs.failed()
    sample_runs.waiting()
    waiting, failed = site.tree("/").select("ol.list")[0].select("li")
    assert (len(waiting.select(".side")), len(failed.select(".side span"))) == (0, 2)
    assert " ".join(waiting.select("p")[1].text.split()).endswith("UTC")


def test_code_in_a_sentence_is_shown_as_code(site: Site) -> None:
    (code,) = site.tree_of_missing("/runs/7").select("main code")
    assert code.text == "workshop devops runs"


def test_an_empty_front_page_names_the_first_commands(site: Site) -> None:
    text = site.tree("/").text
    assert "git push workshop my-branch" in text
    assert "workshop devops pr create" in text


def test_a_pull_request_shows_its_description_policies_and_command(site: Site) -> None:
    sample_runs.succeeded()
    sample_runs.pull_requests()
    tree = site.tree("/pull-requests/2")
    assert [cell.text for cell in tree.select(".prose td")] == ["AUC", "0.9"]
    assert "workshop devops pr complete 2 --as NAME" in tree.text
    assert [check.text.split(":")[0].strip() for check in tree.select(".check")] == [
        "succeeded",
        "waiting for approval",
    ]
    done = site.tree("/pull-requests/1").text
    assert "completed by" in done
    assert "aaaaaaaa" in done
    assert "pr complete" not in done


def test_a_policy_whose_run_was_removed_does_not_take_the_page_away(site: Site) -> None:
    sample_runs.pull_requests()
    assert "the run is no longer there" in site.tree("/pull-requests/2").text
    assert site.code("/") == 200


def test_a_runs_page_links_to_its_logs_and_artifacts(site: Site) -> None:
    sample_runs.succeeded()
    links = [str(link["href"]) for link in site.tree("/runs/1").select(".files a")]
    assert links == ["/runs/1/artifacts/report/report.html", "/runs/1/artifacts/report/summary.json"]
    answer, text = site.ask(links[0])
    assert text.startswith("<h1>The report</h1>")
    assert answer.headers["content-type"].startswith("text/html")
    assert "sandbox allow-popups;" in answer.headers["content-security-policy"]
    assert "script" not in answer.headers["content-security-policy"]
    log, text = site.ask("/runs/1/logs/1.log")
    assert text.startswith("##[section]Starting")
    assert (log.headers["content-type"], log.headers["x-content-type-options"]) == (
        "text/plain; charset=utf-8",
        "nosniff",
    )
