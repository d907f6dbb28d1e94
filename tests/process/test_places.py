"""What the receivers of a node share about their peers: places for associations, and how fast somebody may send."""

import os

from node.shared import Full, Paces, Places

PEER, OTHER = 7, 1 << 50


def in_processes(count, work):
    """Run `work` in so many processes at once, with the number of each; return the sum of what they return."""
    children = []
    for number in range(count):
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(write, str(work(number)).encode())
            finally:
                os._exit(0)
        os.close(write)
        children.append((pid, read))
    total = 0
    for pid, read in children:
        total += int(os.read(read, 100))
        os.close(read)
        os.waitpid(pid, 0)
    return total


def test_no_peer_has_more_places_than_it_may_however_many_processes_give_them():
    places = Places(100, 4)
    assert in_processes(4, lambda slot: sum(places.take(slot, PEER, 9) is None for _ in range(20))) == 9
    assert places.take(0, PEER, 9) is Full.PEER
    assert places.take(0, OTHER, 9) is None, "each for itself"
    assert places.take(0) is None
    assert places.taken.total() == 11


def test_no_more_places_are_given_than_the_node_has():
    places = Places(10, 4)
    assert in_processes(4, lambda slot: sum(places.take(slot, slot, 5) is None for _ in range(20))) == 10
    assert places.take(0, OTHER, 5) is Full.NODE
    assert places.take(0) is Full.NODE


def test_a_place_that_is_given_back_is_free_for_the_same_peer():
    places = Places(10, 2)

    def come_and_go(slot):
        """At most two of two processes are there at once."""
        refused = 0
        for _ in range(200):
            refused += places.take(slot, PEER, 2) is not None
            places.give_back(slot, PEER, 2)
        return refused

    assert in_processes(2, come_and_go) == 0
    assert places.taken.total() == 0
    assert [places.take(1, PEER, 2) for _ in range(3)] == [None, None, Full.PEER]


def test_the_places_of_a_dead_process_are_free_again():
    places = Places(10, 2)
    assert in_processes(1, lambda _: sum(places.take(1, PEER, 3) is None for _ in range(3))) == 3
    assert places.take(0, PEER, 3) is Full.PEER
    places.forget(1)
    assert places.take(0, PEER, 3) is None
    assert places.taken.total() == 1


def test_who_sends_faster_than_it_may_waits_for_all_that_it_has_sent_by_any_process():
    paces = Paces()
    assert paces.charge(PEER, 1000, 1000) == 0, "a second's bytes are free"

    def send(_number):
        for _ in range(9):
            paces.charge(PEER, 10_000, 1000)
        return 0

    in_processes(4, send)
    # 360 seconds' worth, and no test takes so long that half of them have passed.
    assert 180 < paces.charge(PEER, 0, 1000) <= 361
    assert paces.charge(OTHER, 1000, 1000) == 0, "nobody waits for another one"


def test_the_table_of_paces_forgets_only_who_owes_nothing():
    paces = Paces()
    paces.charge(PEER, 3600_000, 1000)
    for number in range(5000):
        paces.charge(1000 + number, 1, 1 << 40)
    assert paces.charge(PEER, 0, 1000) > 1800
