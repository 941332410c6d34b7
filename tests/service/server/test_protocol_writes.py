import asyncio

import pytest

from service.server.transport import MAX_CORKED_BYTES, Transport

pytestmark = pytest.mark.anyio


class Wire(asyncio.Transport):
    """Notes what is written to it, packet by packet."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.packets: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:  # type: ignore[override]  # bytes are all it gets
        assert not self.closed
        self.packets.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0


async def test_everything_written_in_one_turn_is_one_packet() -> None:
    wire = Wire()
    corked = Transport(wire, lambda: False, 1.0)
    corked.write(b"head")
    corked.write(b"body")
    assert wire.packets == []
    await asyncio.sleep(0)
    assert wire.packets == [b"headbody"]
    corked.write(b"next")
    await asyncio.sleep(0)
    assert wire.packets == [b"headbody", b"next"]


async def test_closing_writes_corked_data_and_nothing_later() -> None:
    wire = Wire()
    corked = Transport(wire, lambda: False, 1.0)
    corked.write(b"last")
    corked.close()
    assert (wire.packets, wire.closed) == ([b"last"], True)
    corked.write(b"too late")
    await asyncio.sleep(0)
    assert wire.packets == [b"last"]


async def test_all_else_is_the_transports_own() -> None:
    assert Transport(Wire(), lambda: False, 1.0).get_extra_info("peername") == ("127.0.0.1", 1)


async def test_large_data_is_written_uncopied_after_corked_data() -> None:
    wire = Wire()
    corked = Transport(wire, lambda: False, 1.0)
    corked.write(b"head")
    corked.write(bytes(MAX_CORKED_BYTES + 1))
    assert [len(packet) for packet in wire.packets] == [4, MAX_CORKED_BYTES + 1]
    corked.close()
    corked.write(bytes(MAX_CORKED_BYTES + 1))
    assert len(wire.packets) == 2
