"""The driver that runs a network: each thread walks the list of steps, runs its share of each and waits for the others.

    for step in steps:
        if step waits: until all tasks of the steps before are done
        run the tasks of my share, one after another

Each thread has its own share, the same rows every time, which it finds in its own cache; a thread that waits takes the
tasks that a late thread has not begun. No task depends on the thread that runs it, so results do not either.

What threads tell each other costs most in small networks (a cache line takes a tenth of a microsecond from one core to
another), so there is little of it: a thread says how many tasks it has run once between two waits, in one number for
all steps, and no other thread reads the count of its share while all are on time. A share's count has the number of the
run in its upper half: counts of an earlier run are zeros that no thread has to write.
"""

from __future__ import annotations

from striate.engine.codegen.emit import Code
from striate.engine.codegen.values import Int, Pointer
from striate.engine.target import Target

CALLS, COUNT, SHARES, STRIDE, THREADS, SCRATCH, YIELD, TIMES = range(0, 64, 8)
"""A program: its steps and their number; the counts of shares and the bytes between those of two steps; threads;
addresses of each thread's scratch memory; the operating system's function that gives way to other threads, or 0; where
thread 0 writes the clock before each step, or 0."""
RUN, ARRIVED, DONE = 64, 128, 192
"""Set by each run, a cache line each: its number; threads that have arrived; tasks that are done."""
PROGRAM_SIZE = 256

CODE, ARGUMENTS, TASKS, NUMBER, WAITS, CALL_SIZE = 0, 8, 16, 24, 32, 40
"""A step: kernel, its arguments, its tasks (four numbers each), how many, and whether it waits for those before."""
TASK_SIZE = 32
LINE_SIZE = 64

JOB, INSIDE, SPIN_TURNS = 0, 64, 128
"""Shared with the workers, a cache line each: the program to run, or 0; workers inside it; turns to wait for one."""
CONTROL_SIZE = 192

YIELD_TURNS = 1 << 12
"""Turns of waiting for another thread before giving way to the operating system, about 50 µs."""
LATE_TURNS = 1 << 6
"""Turns of waiting before a thread takes the tasks of a late one, about a microsecond; of one that has not arrived it
takes them at once."""
RUN_UNIT = 1 << 32
"""A share's count is this number times that of the run, and the tasks begun."""
RUNS = 1 << 30
"""Runs are numbered modulo this."""


def emit(target: Target, part: str) -> str:
    """part "drive": kernel(program, thread). "run": kernel(control or null, program, drive). "wait": kernel(control,
    thread, drive), which returns when no program came for as long as SPIN_TURNS says."""
    return {"drive": _drive, "run": _run, "wait": _wait}[part](target)


def shares(threads: int) -> int:
    """Bytes of the counts of one step: tasks begun of each thread's share, a cache line each."""
    return LINE_SIZE * threads


def _spin(code: Code, turn: Int, way: Pointer) -> None:
    """One turn of waiting."""
    code.pause()
    with code.when((turn % YIELD_TURNS).equals(YIELD_TURNS - 1)), code.when(way.not_null):
        code.call(way)


class _Drive:
    """The code of a thread that runs a program."""

    def __init__(self, target: Target) -> None:
        self.code = code = Code(target, "pi")
        self.program, self.thread = program, _ = code.arguments
        self.steps, self.threads = program.pointer(CALLS), program.int(THREADS)
        self.shares, self.stride = program.pointer(SHARES), program.int(STRIDE)
        self.scratch = (program.pointer(SCRATCH) + self.thread * 8).pointer()
        self.way, self.times = program.pointer(YIELD), program.pointer(TIMES)
        self.run, self.arrived = program.int(RUN), program + ARRIVED
        zero = code.int(0)
        self.settled, self.before, self.mine = (code.variable(zero) for _ in range(3))
        self.turn, self.begun, self.open = (code.variable(zero) for _ in range(3))

    def call(self, step: Pointer, task: Int) -> None:
        """Run one task."""
        numbers = step.pointer(TASKS) + task * TASK_SIZE
        self.code.call(
            step.pointer(CODE),
            step.pointer(ARGUMENTS),
            *(numbers.int(8 * part) for part in range(4)),
            self.scratch,
        )
        self.mine.set(self.mine.get() + 1)

    def take(self, k: Int, step: Pointer, whose: Int) -> None:
        """Run the tasks of a thread's share that no thread has begun."""
        code, number, threads = self.code, step.int(NUMBER), self.threads
        first, end = (((whose + more) * number + threads - 1) // threads for more in (0, 1))
        count = self.shares + (k * self.stride + whose * LINE_SIZE)
        self.open.set(code.int(1))
        with code.until(lambda: self.open.get().equals(0)):
            old = code.shared(count)
            begun = code.select((old // RUN_UNIT).equals(self.run), old % RUN_UNIT, code.int(0))
            self.begun.set(first + begun)
            with code.choice(self.begun.get() < end) as (some, none):
                with none:
                    self.open.set(code.int(0))
                with some, code.when(code.exchange(count, old, self.run * RUN_UNIT + begun + 1)):
                    self.call(step, self.begun.get())

    def report(self) -> None:
        """Say how many tasks this thread has run since it said so last."""
        code = self.code
        with code.when(self.mine.get() > 0):
            code.count(self.program + DONE, self.mine.get())
            self.mine.set(code.int(0))

    def settle(self, upto: Int) -> None:
        """Wait until all tasks of the steps before `upto` are done."""
        code, done = self.code, self.program + DONE
        self.report()
        self.turn.set(code.int(0))
        with code.until(lambda: code.shared(done) >= self.before.get()):
            missing = code.shared(self.arrived) < self.threads
            patience = code.select(missing, code.int(0), code.int(LATE_TURNS))
            with code.when(self.turn.get().equals(patience)):
                with code.loop(self.settled.get(), upto) as k:
                    step = self.steps + k * CALL_SIZE
                    with code.when(step.int(NUMBER) > 1), code.loop(1, self.threads) as other:
                        self.take(k, step, (self.thread + other) % self.threads)
                self.report()
            _spin(code, self.turn.get(), self.way)
            self.turn.set(self.turn.get() + 1)
        self.settled.set(upto)

    def emit(self) -> str:
        code, program, thread = self.code, self.program, self.thread
        first, several = thread.equals(0), self.threads > 1
        with code.when(thread > 0):
            code.count(self.arrived)
        with code.flush_denormals():
            with code.loop(0, program.int(COUNT)) as k:
                step = self.steps + k * CALL_SIZE
                with code.when(step.int(WAITS).differs(0)):
                    self.settle(k)
                with code.when(self.times.not_null), code.when(first):
                    (self.times + k * 8).store(code.clock())
                number = step.int(NUMBER)
                with code.choice(code.builder.and_(number > 1, several)) as (divided, whole):
                    with divided:
                        self.take(k, step, thread)
                    # Thread 0 runs a single task: it mostly wrote what the task reads.
                    with whole, code.when(first), code.loop(0, number) as task:
                        self.call(step, task)
                self.before.set(self.before.get() + number)
            self.settle(program.int(COUNT))
            with code.when(self.times.not_null), code.when(first):
                (self.times + program.int(COUNT) * 8).store(code.clock())
        return code.finish()


def _drive(target: Target) -> str:
    return _Drive(target).emit()


def _run(target: Target) -> str:
    code = Code(target, "ppp")
    control, program, drive = code.arguments
    (program + RUN).store(((program + RUN).int() + 1) % RUNS)
    (program + ARRIVED).store(code.int(1))
    (program + DONE).store(code.int(0))
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
