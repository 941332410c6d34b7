from typing import Any

from training.tasks.history import learnt, merged_history

NETWORKS = dict.fromkeys(("G", "F", "D_X", "D_Y"))


def run(images: int, **config: object) -> dict[str, Any]:
    return {"images": images, "config": config}


def source(names: str, *history: dict[str, Any], images: int = 9) -> dict[str, Any]:
    return {"networks": dict.fromkeys(names.split()), "history": list(history), **run(images)}


def test_what_learnt_is_what_any_of_the_runs_changed() -> None:
    alone = {**source("G F D_X D_Y"), "config": {"only": "F"}}
    assert learnt(alone) == {"F", "D_X"}
    assert learnt({**alone, "history": [{**run(3, only="G"), "networks": ["G", "D_Y"]}]}) == set(NETWORKS)
    assert learnt({**alone, "history": [run(3)]}) == set(NETWORKS)


def test_the_history_of_one_checkpoint_is_its_own_and_itself() -> None:
    assert merged_history([source("G F D_X D_Y", run(1), run(2))], NETWORKS) == [run(1), run(2), run(9)]


def test_two_runs_alike_one_after_the_other_are_two() -> None:
    assert merged_history([source("G F D_X D_Y", run(9))], NETWORKS) == [run(9), run(9)]
    both = [source("G F D_X D_Y", run(9)), source("F", run(9))]
    assert merged_history(both, NETWORKS) == [run(9), run(9)]


def test_runs_that_both_files_came_through_are_told_once() -> None:
    merged = merged_history([source("G", run(1), run(2), images=3), source("F", run(1), run(4), images=5)], NETWORKS)
    both, g, f = ["F", "G"], ["G"], ["F"]
    assert [(r["images"], r["networks"]) for r in merged] == [(1, both), (2, g), (3, g), (4, f), (5, f)]


def test_a_run_stands_before_those_that_it_came_before() -> None:
    merged = merged_history([source("G", run(2), images=3), source("F", run(1), images=3)], NETWORKS)
    assert [(r["images"], r["networks"]) for r in merged] == [(2, ["G"]), (1, ["F"]), (3, ["F", "G"])]


def test_runs_with_other_settings_are_other_runs() -> None:
    merged = merged_history([source("G", run(1, rate=1)), source("F", run(1, rate=2), images=8)], NETWORKS)
    assert [(r["config"].get("rate"), r["networks"]) for r in merged] == [
        (1, ["G"]),
        (None, ["G"]),
        (2, ["F"]),
        (None, ["F"]),
    ]


def test_a_card_that_leaves_paths_out_tells_of_the_same_run() -> None:
    merged = merged_history(
        [source("G F D_X D_Y", run(1, rate=1, out="runs/a")), source("F", run(1, rate=1))], NETWORKS
    )
    assert [(r["images"], r.get("networks")) for r in merged] == [(1, None), (9, None)]


def test_what_a_source_says_of_its_networks_is_kept() -> None:
    earlier = {**run(1), "networks": ["F"]}
    assert merged_history([source("G F D_X D_Y", earlier)], NETWORKS) == [earlier, run(9)]
    replaced = merged_history([source("G F D_X D_Y", earlier), source("F", images=7)], NETWORKS)
    assert [(r["images"], r["networks"]) for r in replaced] == [(9, ["D_X", "D_Y", "G"]), (7, ["F"])]


def test_only_what_learnt_in_a_run_has_come_through_it() -> None:
    alone = {**source("G F D_X D_Y", run(1)), "config": {"only": "F"}}
    merged = merged_history([alone], NETWORKS)
    assert merged == [run(1), {**run(9, only="F"), "networks": ["D_X", "F"]}]
    assert merged_history([alone, source("F", run(1), images=7)], NETWORKS) == [
        run(1),
        {**run(9, only="F"), "networks": ["D_X"]},
        {**run(7), "networks": ["F"]},
    ]
