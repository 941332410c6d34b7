import torch
from torch import Tensor

from training.distributed import World
from training.tasks.image_pool import ImagePool


def numbered(first: int, n: int) -> Tensor:
    """Images whose pixels are their number."""
    return torch.arange(first, first + n).float().reshape(n, 1, 1, 1).expand(n, 3, 2, 2).contiguous()


def history(pool: ImagePool, images: int, batch: int = 1) -> list[int]:
    """What the pool hands back for images 0, 1, ..., as numbers."""
    answers = [pool.query(numbered(first, batch), first) for first in range(0, images, batch)]
    return torch.cat(answers)[:, 0, 0, 0].int().tolist()


def pool(size: int, seed: int = 0, purpose: str = "pool X") -> ImagePool:
    return ImagePool(size, seed, purpose, World())


def test_a_pool_of_size_zero_hands_every_image_back() -> None:
    empty = pool(0)
    assert history(empty, 20) == list(range(20))
    assert empty.images is None


def test_a_pool_fills_with_the_first_images_and_hands_them_back() -> None:
    filling = pool(6)
    assert history(filling, 6) == list(range(6))
    assert filling.images is not None
    assert torch.equal(filling.images, numbered(0, 6))


def test_a_full_pool_hands_back_an_older_image_about_half_the_time() -> None:
    answers = history(pool(10), 1000)
    older = [number for number, answer in enumerate(answers) if answer != number]
    assert 0.45 < len(older) / 990 < 0.55
    assert all(answers[number] < number for number in older)


def test_an_older_image_leaves_the_pool_when_it_is_handed_back() -> None:
    answers = history(pool(10), 1000)
    older = [answer for number, answer in enumerate(answers) if answer != number]
    assert len(set(older)) == len(older)


def test_every_place_of_a_full_pool_is_renewed() -> None:
    renewed = pool(10)
    history(renewed, 1000)
    assert renewed.images is not None
    assert renewed.images.min() >= 10


def test_the_size_of_the_batch_does_not_change_the_history() -> None:
    assert history(pool(5), 120, batch=4) == history(pool(5), 120, batch=1)


def test_choices_follow_the_number_of_the_image_and_not_the_calls_before() -> None:
    whole, resumed = pool(3), pool(3)
    history(whole, 60)
    assert whole.images is not None
    resumed.images = whole.images.clone()
    answers = [p.query(numbered(60, 8), 60) for p in (whole, resumed)]
    assert torch.equal(*answers)


def test_two_pools_choose_apart() -> None:
    answers = {tuple(history(pool(5, seed, purpose), 100)) for seed in (0, 1) for purpose in ("pool X", "pool Y")}
    assert len(answers) == 4


def test_no_gradient_flows_through_a_pool() -> None:
    assert not pool(2).query(numbered(0, 2).requires_grad_(), 0).requires_grad


def test_what_was_handed_back_does_not_change_with_the_pool() -> None:
    changing = pool(1)
    changing.query(numbered(0, 1), 0)
    answers = [changing.query(numbered(i, 1), i) for i in range(1, 20)]
    kept = [answer.clone() for answer in answers]
    history(changing, 50)
    assert all(torch.equal(answer, copy) for answer, copy in zip(answers, kept, strict=True))
