import torch

from training.rng import derive_seed, generator, seeded, shuffled_index


def test_a_seed_stays_what_it_was() -> None:
    # a checkpoint of an earlier process, or version, is resumed on the same draws
    assert derive_seed(0, "weights") == 5409347080047710043
    assert derive_seed(3, "z", 128) == 5569899933714681226


def test_seeds_differ_by_seed_purpose_and_index() -> None:
    seeds = {derive_seed(s, p, i) for s in range(5) for p in ("z", "mnist", "pool X") for i in range(20)}
    assert len(seeds) == 5 * 3 * 20


def test_seeds_have_63_bits() -> None:
    seeds = [derive_seed(0, "z", i) for i in range(200)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) >= 2**62


def test_a_generator_draws_the_same_for_the_same_index_whatever_was_drawn_before() -> None:
    first = torch.rand(5, generator=generator(1, "z", 7))
    torch.rand(3, generator=generator(1, "z", 8))
    assert torch.equal(torch.rand(5, generator=generator(1, "z", 7)), first)


def test_generators_of_different_indices_draw_differently() -> None:
    one, other = (torch.rand(5, generator=generator(1, "z", i)) for i in (7, 8))
    assert not torch.equal(one, other)


def test_a_seeded_block_draws_the_same_every_time() -> None:
    draws = []
    for _ in range(2):
        with seeded(1, "weights"):
            draws.append(torch.rand(5))
    assert torch.equal(*draws)


def test_a_seeded_block_leaves_the_draws_outside_alone() -> None:
    torch.manual_seed(0)
    uncut = torch.rand(4)
    torch.manual_seed(0)
    start = torch.rand(2)
    with seeded(1, "weights"):
        torch.rand(100)
    assert torch.equal(torch.cat([start, torch.rand(2)]), uncut)


def test_every_epoch_is_a_permutation_of_the_samples() -> None:
    drawn = [shuffled_index(0, "mnist", p, 13) for p in range(3 * 13)]
    for epoch in range(3):
        assert sorted(drawn[13 * epoch : 13 * epoch + 13]) == list(range(13))


def test_every_epoch_and_purpose_is_shuffled_anew() -> None:
    epochs = [
        tuple(shuffled_index(0, purpose, 50 * epoch + i, 50) for i in range(50))
        for purpose in ("trainA", "trainB")
        for epoch in range(3)
    ]
    assert len({*epochs, tuple(range(50))}) == 7


def test_the_sample_at_a_position_does_not_depend_on_what_was_asked_before() -> None:
    forwards = [shuffled_index(0, "mnist", p, 7) for p in range(200)]
    backwards = [shuffled_index(0, "mnist", p, 7) for p in reversed(range(200))]
    assert forwards == backwards[::-1]
