"""What an update gives away: attacks on one's own runs, with and without protections.

Two attackers who keep to the protocol and only look: a server that knows the weights it sent and the update it decodes,
and looks for the inputs (`utils.leaks.inversion`), and whoever has the final model, and asks which examples it was
trained on (`utils.leaks.membership`). `utils.leaks.measure` asks both of a run, `utils.leaks.report` keeps what they
found. A protection is a conf with other links, another batch size or more passes; what is attacked is what the server
decodes of an update that the client's own code made.
"""

from __future__ import annotations

CAVEAT = (
    "A weak attack proves no safety: this attacker is hardly tuned, not made against the protection, and works for "
    "seconds; another one may see more.",
    "攻击不成功并不证明安全：这里的攻击者几乎未经调优，也不针对所用的防护，只运行几秒钟；换一个攻击者可能看到更多。",
)
"""What has to stand beside every figure, in English and Chinese."""


class LeaksError(ValueError):
    """What cannot be attacked, or a report that cannot be used; the text is one line."""
