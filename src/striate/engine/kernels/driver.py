"""The driver that runs a network: every thread walks the list of steps, takes tasks of each, and waits for the others.

    for step in steps:
        if step waits: until all tasks of the steps before are done
        take the tasks of my share, one after another; then the remaining ones of the others' shares

Each thread has its own share, the same rows every time, which it finds in its own cache; the other threads take the
tasks of a late thread. No task depends on the thread that runs it, so results do not either.
"""

from __future__ import annotations

from striate.engine.codegen.emit import Code, Int, Pointer
from striate.engine.target import Target

CALLS, COUNT, COUNTERS, STRIDE, THREADS, SCRATCH, YIELD, TIMES = range(0, 64, 8)
"""A program: its steps and their number; their counters and the bytes between those of two steps; threads; addresses of
each thread's scratch memory; the operating system's function that gives way to other threads, or 0; where thread 0
writes the clock before each step, or 0."""
PROGRAM_SIZE = 64

CODE, ARGUMENTS, TASKS, NUMBER, WAITS, CALL_SIZE = 0, 8, 16, 24, 32, 40
"""A step: kernel, its arguments, its tasks (four numbers each), how many, and whether it waits for those before."""
TASK_SIZE = 32

JOB, INSIDE, SPIN_TURNS = 0, 64, 128
"""Shared with the workers, a cache line each: the program to run, or 0; workers inside it; turns to wait for one."""
CONTROL_SIZE = 192

YIELD_TURNS = 1 << 12
"""Turns of waiting for another thread before giving way to the operating system, about 50 µs."""


def emit(target: Target, part: str) -> str:
    """part "drive": kernel(program, thread). "run": kernel(control or null, program, drive). "wait": kernel(control,
    thread, drive), which returns when no program came for as long as SPIN_TURNS says."""
    return {"drive": _drive, "run": _run, "wait": _wait}[part](target)


def counters(threads: int) -> int:
    """Bytes of one step's counters: finished tasks, then tasks taken from each thread's share."""
    return -(-8 * (threads + 1) // 64) * 64


def _spin(code: Code, turn: Int, way: Pointer) -> None:
    """One turn of waiting."""
    code.pause()
    with code.when((turn % YIELD_TURNS).equals(YIELD_TURNS - 1)), code.when(way.not_null):
        code.call(way)


def _drive(target: Target) -> str:
    code = Code(target, "pi")
    program, thread = code.arguments
    steps, stride, threads = program.pointer(CALLS), program.int(STRIDE), program.int(THREADS)
    counters_, times = program.pointer(COUNTERS), program.pointer(TIMES)
    scratch = (program.pointer(SCRATCH) + thread * 8).pointer()
    way = program.pointer(YIELD)
    complete_steps, turn = code.variable(0), code.variable(0)

    def settle(upto: Int) -> None:
        """Wait until all tasks of the steps before `upto` are done."""
        with code.loop(complete_steps.get(), upto) as k:
            progress, number = counters_ + k * stride, (steps + k * CALL_SIZE).int(NUMBER)
            turn.set(code.int(0))
            with code.until(lambda: code.shared(progress) >= number):
                _spin(code, turn.get(), way)
                turn.set(turn.get() + 1)
        complete_steps.set(upto)

    with code.flush_denormals():
        with code.loop(0, program.int(COUNT)) as k:
            step, counter = steps + k * CALL_SIZE, counters_ + k * stride
            with code.when(step.int(WAITS).differs(0)):
                settle(k)
            with code.when(times.not_null), code.when(thread.equals(0)):
                (times + k * 8).store(code.clock())
            number, tasks = step.int(NUMBER), step.pointer(TASKS)
            # Thread 0 runs a single task: it mostly wrote what the task reads.
            with code.when(code.builder.or_(number > 1, thread.equals(0))), code.loop(0, threads) as other:
                whose = (thread + other) % threads
                first, end = (((whose + k) * number + threads - 1) // threads for k in (0, 1))
                mine = code.variable(0)

                def take() -> None:
                    mine.set(first + code.count(counter + (whose + 1) * 8))

                with code.when(end > first):
                    take()
                    with code.until(lambda: mine.get() >= end):
                        task = tasks + mine.get() * TASK_SIZE
                        code.call(
                            step.pointer(CODE), step.pointer(ARGUMENTS),
                            *(task.int(8 * part) for part in range(4)), scratch,
                        )  # fmt: skip
                        code.count(counter)
                        take()
        settle(program.int(COUNT))
        with code.when(times.not_null), code.when(thread.equals(0)):
            (times + program.int(COUNT) * 8).store(code.clock())
    return code.finish()


def _run(target: Target) -> str:
    code = Code(target, "ppp")
    control, program, drive = code.arguments
    slots = program.int(COUNT) * program.int(STRIDE)
    with code.loop(0, slots, 8) as at:
        (program.pointer(COUNTERS) + at).store(code.int(0))
    with code.when(control.not_null):
        code.publish(control + JOB, program)
    code.call(drive, program, 0)
    with code.when(control.not_null):
        code.publish(control + JOB, 0)
        turn = code.variable(0)
        with code.until(lambda: code.shared(control + INSIDE).equals(0)):
            _spin(code, turn.get(), program.pointer(YIELD))
            turn.set(turn.get() + 1)
    return code.finish()


def _wait(target: Target) -> str:
    code = Code(target, "pip")
    control, thread, drive = code.arguments
    turn = code.variable(0)
    patience = control.int(SPIN_TURNS)
    with code.until(lambda: turn.get() >= patience):
        turn.set(turn.get() + 1)
        code.pause()
        with code.when(code.shared(control + JOB).differs(0)):
            code.count(control + INSIDE)
            job = code.shared(control + JOB)
            with code.when(job.differs(0)):
                program = Pointer(code, code.builder.inttoptr(job.value, control.value.type))
                with code.when(thread < program.int(THREADS)):
                    code.call(drive, program, thread)
                turn.set(code.int(0))
            code.count(control + INSIDE, -1)
    return code.finish()
