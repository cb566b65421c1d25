"""What alloy-actors costs, beside a hand-written loop that does the same work: `python -m benchmarks`.

Ratios, not milliseconds: floor and subject run in the same invocation, in turns, each in a process of its own, against a local
server in a third process, so that only the client's CPU is counted and neither side pays for the other's heap.
"""
