"""How do whole records get from a pool process to main?

Main listens on a `SOCK_SEQPACKET` socket in a private directory; each pool process connects, so
that each has a buffer of its own, and end-of-file says that a dead process's last word has been
read. Nothing at the sending end ever waits: what does not fit is kept in a short backlog, then
dropped and counted, and the count travels with the next record, or is found when the process has
ended.

Who connects shows a secret first, which pool processes have from main: by the fork, or in a
variable of their own where they are spawned. Nobody else is heard.

Where the kernel has no SEQPACKET for local sockets (macOS), STREAM with a length prefix.
"""

from otel_celery.wire.ear import Ear
from otel_celery.wire.framing import MAX_RECORD, Record
from otel_celery.wire.mouth import Mouth

__all__ = ["MAX_RECORD", "Ear", "Mouth", "Record"]
