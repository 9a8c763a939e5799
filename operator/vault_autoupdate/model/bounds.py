"""How long a text or a list may be, in one place. Texts are in bytes of UTF-8, as `clean` cuts them.

A status has to fit into an object whatever the vault: its size is the sum of what stands here
(`report.document` says what it comes to). What Azure says is made safe where it is read, and only bounded in memory: it
is made short where it is written. What Kubernetes checks stands in crds/ as well.
"""

from __future__ import annotations

from typing import Final

# What Azure says, as it is read.
READ_TEXT: Final = 600
READ_NAME: Final = 260
READ_WORD: Final = 120
"""A state, a version, a category, a code."""
READ_MESSAGE: Final = 2400
"""Of an error: actions and scopes are looked for in it, and stand at its end."""

# Texts of a status, and of what is said about it.
MESSAGE: Final = 1000
"""Of a condition and of an Event, whose note may have 1 kB."""
PROBLEM: Final = 900
"""One of those that a condition tells of."""
EXPLANATION: Final = 400
"""Each of an error's message, its possible causes and the recommended action."""
FAILURE: Final = 300
"""The same of a machine, of which there are more."""
PATH: Final = 400
"""Fabric, container and name of a mapping or an item, as far as they are shown."""
NAME: Final = 128
NAMED: Final = 120
"""A name within a sentence."""
NAMED_PATH: Final = 300
CODE: Final = 120
ID: Final = 64
"""Of a job, a caller, an identity: a GUID and what stands around it."""
WORD: Final = 64
"""A state, a version, a reason, a time."""
SCENARIO: Final = 48
REQUEST: Final = 256
"""An annotation that asks for something; also who did what, in the activity log."""
SCHEDULE: Final = 120
"""The words for when a schedule runs."""
NAMED_SCHEDULE: Final = 200
"""The same within a sentence."""
FINDING: Final = 240
SAMPLE: Final = 512
"""An id of ARM, where a policy names what is wrong."""

# What people or programs have written, quoted back.
QUOTED: Final = 200
QUOTED_NAME: Final = 80
SAID: Final = 300
"""What a library has said about something that went wrong."""

# Lists of a status. Those with texts have a second bound, in bytes of JSON: texts full of quotes take twice their size.
OPERATIONS: Final = 150
OPERATIONS_BYTES: Final = 26_000
FAILURES: Final = 20
FAILURES_BYTES: Final = 15_000
FAILURE_CODES: Final = 10
VERSIONS: Final = 10
WORST_MACHINES: Final = 10
WORST_MACHINES_BYTES: Final = 4_000
UPDATES: Final = 50
UPDATES_BYTES: Final = 12_000
MACHINE_FAILURES: Final = 20
MACHINE_FAILURES_BYTES: Final = 10_000
PLANNED: Final = 20
PROBLEMS: Final = 4
PROBLEMS_BYTES: Final = 4_000
ROLES: Final = 5
FINDINGS: Final = 8
FINDINGS_BYTES: Final = 8_000
REPLACED: Final = 5
WRITES: Final = 300
WRITES_BYTES: Final = 60_000
SAMPLES: Final = 20
"""Of each trouble of a policy."""
