"""Reptile's slow weights against a loop written out by hand, and which batches its subtasks see."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sketchfast.data.instance_batches import InstanceBatches
from sketchfast.data.load_instances import load_instances
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.training.reptile import SUBTASKS, Reptile, ReptileConfig, SubtaskBatches, subtask_categories


def small_network() -> nn.Module:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1)).double()
    net.get_parameter("0.bias").requires_grad_(False)
    return net


def one_step(net: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor) -> None:
    optimizer.zero_grad()
    (net(x) - x.sum(dim=1, keepdim=True).sin()).square().mean().backward()
    optimizer.step()


def adam(net: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=0.05)


@pytest.mark.parametrize("epsilon", [1.0, 0.3])
def test_outer_iterations_are_those_of_the_definition(seed: int, epsilon: float) -> None:
    """Three of them, with an optimizer and a copy of the network of its own for each inner run."""
    torch.manual_seed(seed)
    inner_steps, outers = 3, 3
    x = torch.randn(outers, SUBTASKS, inner_steps, 8, 3, dtype=torch.float64)
    net = small_network()
    expected, frozen = copy.deepcopy(net), net.get_parameter("0.bias").clone()
    reptile, optimizer = Reptile(inner_steps, epsilon), adam(net)
    for step, batch in enumerate(x.flatten(0, 2)):
        reptile.before_step(step, net, optimizer)
        one_step(net, optimizer, batch)
    reptile.finish(net)

    for outer in x:
        runs = []
        for batches in outer:
            run = copy.deepcopy(expected)
            own = adam(run)
            for batch in batches:
                one_step(run, own, batch)
            runs.append(run.state_dict())
        state = expected.state_dict()
        for name, slow in state.items():
            if slow.is_floating_point():
                slow += epsilon * ((runs[0][name] + runs[1][name]) / 2 - slow)
    for name, value in expected.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(net.state_dict()[name], value, rtol=1e-12, atol=1e-12)
    assert torch.equal(net.get_parameter("0.bias"), frozen)
    before = copy.deepcopy(net.state_dict())
    reptile.finish(net)  # nothing is under way
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in before.items())


def test_state_goes_on_from_any_step(seed: int) -> None:
    torch.manual_seed(seed)
    inner_steps = 2
    x = torch.randn(2 * SUBTASKS * inner_steps, 8, 3, dtype=torch.float64)

    def trained(stop: int | None) -> nn.Module:
        torch.manual_seed(seed)
        net = small_network()
        reptile, optimizer = Reptile(inner_steps, 0.7), adam(net)
        for step, batch in enumerate(x):
            if step == stop:
                saved = copy.deepcopy((net.state_dict(), optimizer.state_dict(), reptile.state()))
                net = small_network()
                reptile, optimizer = Reptile(inner_steps, 0.7), adam(net)
                net.load_state_dict(saved[0])
                optimizer.load_state_dict(saved[1])
                reptile.load_state(saved[2])
            reptile.before_step(step, net, optimizer)
            one_step(net, optimizer, batch)
        reptile.finish(net)
        return net

    expected = trained(None).state_dict()
    for stop in range(len(x)):
        for name, value in trained(stop).state_dict().items():
            assert torch.equal(value, expected[name]), (stop, name)


def test_subtasks_are_halves_that_follow_from_seed_and_outer_iteration(seed: int) -> None:
    labels = np.array([3, 5, 6, 9, 10, 11, 20])
    halves = subtask_categories(seed, 4, labels)
    again = subtask_categories(seed, 4, labels)
    assert [len(half) for half in halves] == [3, 3]
    assert len(np.unique(np.concatenate(halves))) == 6 and np.isin(np.concatenate(halves), labels).all()
    assert all(np.array_equal(a, b) for a, b in zip(halves, again))
    drawn = {tuple(subtask_categories(seed, outer, labels)[0]) for outer in range(20)}
    other = {tuple(subtask_categories(seed + 1, outer, labels)[0]) for outer in range(20)}
    assert len(drawn) > 5 and drawn != other
    assert [len(part) for part in subtask_categories(seed, 0, labels, 2)] == [2, 2]
    for size in (0, 4):
        with pytest.raises(ValueError, match=rf"categories must be 1\.\.3 .* 7 categories, got {size}"):
            subtask_categories(seed, 0, labels, size)
    with pytest.raises(ValueError, match="inner_steps must be at least 1, got 0"):
        ReptileConfig(inner_steps=0)
    with pytest.raises(ValueError, match=r"epsilon must be above 0 and at most 1, got 1\.5"):
        ReptileConfig(epsilon=1.5)


def test_batches_are_of_the_subtask_and_resume_at_any_step(seed: int, tmp_path: Path) -> None:
    split = load_instances("synthetic", seed=3, size=16, train_per_class=3, held_out_per_class=0)
    pairs = split.train.of_classes(range(6))
    source = InstanceBatches(pairs, Preprocess(8), batch_size=4, seed=seed)
    config = ReptileConfig(
        inner_steps=7, categories=2, outer_per_epoch=2
    )  # 12 sketches: a pass has 3 batches

    def read(epoch: int, start_step: int = 0) -> list[dict[str, torch.Tensor]]:
        return list(SubtaskBatches(source, config, seed, epoch, 0, 1, start_step))

    whole = read(1)
    assert len(whole) == len(SubtaskBatches(source, config, seed, 1)) == 28 == config.steps_per_epoch
    for position, batch in enumerate(whole):
        outer, run = 2 + position // 14, position // 7 % 2
        assert np.isin(batch["label"], subtask_categories(seed, outer, source.labels, 2)[run]).all()
    rows = [tuple(batch["row"].tolist()) for batch in whole]
    assert len(set(rows)) > 20  # passes have their own order
    assert rows != [tuple(batch["row"].tolist()) for batch in read(0)]
    for start in (0, 1, 3, 6, 7, 10, 27, 28):
        rest = read(1, start)
        assert len(rest) == len(whole) - start == len(SubtaskBatches(source, config, seed, 1, 0, 1, start))
        for found, expected in zip(rest, whole[start:]):
            assert all(torch.equal(found[name], value) for name, value in expected.items())
    halves = [list(SubtaskBatches(source, config, seed, 1, rank, 2)) for rank in range(2)]
    assert [tuple(np.concatenate([a["row"], b["row"]])) for a, b in zip(*halves)] == rows
