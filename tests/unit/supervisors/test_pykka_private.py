"""Each private name of pykka that the runtime uses still exists and means what we think."""

from __future__ import annotations

import inspect
import threading

import pykka
import pytest
from pykka import messages
from pykka._envelope import Envelope

from supervisors.runtime.pykka_private import FastRefs


class Plain(pykka.ThreadingActor):
    pass


def test_an_envelope_holds_a_message_and_where_its_reply_goes() -> None:
    future = pykka.ThreadingFuture()
    envelope = Envelope("message", reply_to=future)

    assert (envelope.message, envelope.reply_to) == ("message", future)
    assert Envelope("message").reply_to is None


def test_a_stop_is_a_message_of_its_own_class_without_content() -> None:
    assert issubclass(messages._ActorStop, tuple)
    assert messages._ActorStop() == ()


def test_proxies_send_the_three_message_classes_we_pass_on() -> None:
    for kind in (messages.ProxyCall, messages.ProxyGetAttr, messages.ProxySetAttr):
        assert issubclass(kind, tuple)


def test_an_actor_handles_messages_through_handle_receive() -> None:
    actor = Plain()

    assert actor._handle_receive(messages.ProxyGetAttr(("actor_urn",))) == actor.actor_urn


def test_an_actor_makes_its_inbox_and_its_futures_through_static_methods() -> None:
    for name in ("_create_actor_inbox", "_create_future"):
        assert isinstance(inspect.getattr_static(pykka.Actor, name), staticmethod)
    assert set(dir(pykka.ThreadingActor._create_actor_inbox())) >= {"put", "get", "empty"}


def test_start_registers_and_then_calls_start_actor_loop() -> None:
    source = inspect.getsource(pykka.Actor.start.__func__)

    assert source.index("ActorRegistry.register(obj.actor_ref)") < source.index("obj._start_actor_loop()")


def test_the_ref_shares_inbox_and_stopped_flag_with_the_actor() -> None:
    actor = Plain()

    assert actor._actor_ref is actor.actor_ref
    assert actor.actor_ref.actor_inbox is actor.actor_inbox
    assert actor.actor_ref.actor_stopped is actor.actor_stopped


def test_the_ref_looks_its_inbox_up_on_every_use() -> None:
    class Recorder:
        def __init__(self) -> None:
            self.got = []

        def put(self, envelope) -> None:
            self.got.append(envelope.message)

    actor = Plain()
    actor.actor_ref.actor_inbox = Recorder()
    actor.actor_ref.tell("hello")

    assert actor.actor_ref.actor_inbox.got == ["hello"]


def test_the_registry_keeps_refs_and_a_lock_in_the_attributes_we_replace() -> None:
    assert isinstance(pykka.ActorRegistry._actor_refs, FastRefs)
    assert isinstance(pykka.ActorRegistry._actor_refs_lock, type(threading.RLock()))


def test_every_use_the_registry_makes_of_its_list_is_answered_by_ours() -> None:
    source = inspect.getsource(pykka.ActorRegistry)
    uses = {line.split("cls._actor_refs", 1)[1] for line in source.splitlines() if "cls._actor_refs" in line}

    assert uses == {
        "[:]",
        "",  # for ref in cls._actor_refs
        " if ref.actor_urn == actor_urn]",
        ".append(actor_ref)",
        ":",  # if actor_ref in cls._actor_refs:
        ".remove(actor_ref)",
        "_lock:",
    }


def test_refs_are_kept_in_the_order_they_came() -> None:
    one, two, three = (Plain().actor_ref for _ in range(3))
    refs = FastRefs([one])
    refs.append(two)
    refs.append(three)
    refs.remove(two)

    assert refs[:] == [one, three]
    assert list(refs) == [one, three]
    assert (one in refs, two in refs, len(refs)) == (True, False, 2)


def test_removing_an_unknown_ref_is_an_error_as_with_a_list() -> None:
    with pytest.raises(ValueError, match="not registered"):
        FastRefs().remove(Plain().actor_ref)
