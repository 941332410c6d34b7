import torch

from training.data.clusters import cluster


def blobs(kinds: int, each: int) -> torch.Tensor:
    """`each` noisy images of every one of `kinds` grey levels, kind by kind."""
    dice = torch.Generator().manual_seed(0)
    levels = torch.linspace(30, 220, kinds).repeat_interleave(each)[:, None, None, None]
    return (levels + torch.randint(-5, 6, (kinds * each, 1, 4, 4), generator=dice)).to(torch.uint8)


def test_images_of_a_kind_share_a_cluster_and_kinds_do_not() -> None:
    labels = cluster(blobs(3, 50), 3, seed=1).view(3, 50)
    assert (labels == labels[:, :1]).all()
    assert len(set(labels[:, 0].tolist())) == 3


def test_every_cluster_has_images_also_when_the_start_was_poor() -> None:
    # all starting means may lie in the first, by far the largest kind
    images = torch.cat([blobs(2, 500)[:500], blobs(2, 20)[20:]])
    for seed in range(5):
        assert torch.bincount(cluster(images, 4, seed), minlength=4).min() > 0


def test_the_same_seed_gives_the_same_clusters() -> None:
    images = torch.randint(0, 256, (200, 1, 5, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    assert torch.equal(cluster(images, 7, 5), cluster(images, 7, 5))
    assert not torch.equal(cluster(images, 7, 5), cluster(images, 7, 6))


def test_each_image_is_nearest_to_the_mean_of_its_cluster() -> None:
    images = torch.randint(0, 256, (300, 1, 3, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(4))
    labels, points = cluster(images, 5, 0), images.flatten(1).float()
    means = torch.stack([points[labels == k].mean(0) for k in range(5)])
    assert (torch.cdist(points, means).argmin(1) == labels).float().mean() > 0.95  # Lloyd's rounds end before the last
