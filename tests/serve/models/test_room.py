"""Who fits beside whom, in bytes that are made up."""

from __future__ import annotations

from typing import Any

import pytest

from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.engine.process import EngineProcess
from r1chat.serve.errors import NotEnoughMemoryError
from r1chat.serve.models.fit.machine import Device, Machine
from r1chat.serve.models.fit.memory import Estimate
from r1chat.serve.models.residents.resident import FOREVER, ModelSpec, Resident
from r1chat.serve.models.residents.room import Limits, Room

GB = 1 << 30


def needing(host: int, device: int = 0) -> ModelSpec:
    """A model with so many gigabytes of it in each place."""
    estimate = Estimate(weights=(host + device) * GB, kv=0, compute=0, overhead=0, device=device * GB)
    return ModelSpec(id=f"m{host}-{device}", config=EngineConfig(), n_bytes=estimate.total, estimate=estimate)


def room(free: int = 100, cards: tuple[Device, ...] = (), **limits: Any) -> Room:
    return Room(Limits(**limits), Machine(100 * GB, 100 * GB, cards), lambda: free * GB)


def inside(room: Room, *specs: ModelSpec, state: Any = "loaded") -> list[Resident]:
    residents = [Resident(spec, EngineProcess(spec.config), FOREVER, state) for spec in specs]
    for one in residents:
        one.n_reserved = room.host_bytes(one.spec)
    return residents


def card(free: int, *, unified: bool = False) -> tuple[Device, ...]:
    return (Device("CUDA0", "a card", free * GB, free * GB, unified),)


def test_nine_tenths_of_what_is_free_at_the_start_are_for_models() -> None:
    here = room()
    residents = inside(here, needing(50))
    assert here.fits(needing(40), residents) and not here.fits(needing(41), residents)
    assert here.fits(needing(41), residents, without=residents)


def test_a_bound_of_ones_own_holds_and_its_refusal_has_numbers() -> None:
    here = room(memory_bytes=8 * GB)
    with pytest.raises(
        NotEnoughMemoryError, match=r"needs 9\.7 GB, and models may take 8\.6 GB .*--memory 9G"
    ) as refused:
        here.refuse_what_never_fits(needing(9), [])
    assert (refused.value.needed, refused.value.available) == (9 * GB, 8 * GB)


def test_models_on_their_way_in_have_not_taken_their_memory_yet() -> None:
    here = room(free=10)
    assert here.fits(needing(6), inside(here, needing(6)))
    assert not here.fits(needing(6), inside(here, needing(6), state="loading"))


def test_what_lies_on_a_card_is_counted_there() -> None:
    here = room(cards=card(10))
    residents = inside(here, needing(1, 6))
    assert residents[0].n_reserved == 1 * GB
    assert here.fits(needing(1, 3), residents) and not here.fits(needing(1, 4), residents)
    assert here.fits(needing(80), residents)


def test_a_card_that_shares_the_machines_memory_is_no_place_of_its_own() -> None:
    here = room(cards=card(100, unified=True))
    residents = inside(here, needing(1, 60))
    assert residents[0].n_reserved == 61 * GB
    assert not here.fits(needing(1, 60), residents)


def test_a_number_of_models_counts_them_all() -> None:
    here = room(max_models=2)
    residents = inside(here, needing(1), needing(1))
    assert not here.fits(needing(1), residents) and here.fits(needing(1), residents, without=residents[:1])
