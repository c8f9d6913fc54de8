"""What the owner of a node agrees to, in the reader's language. A text that says something else is another version."""

from __future__ import annotations

from flask_babel import gettext as _

CONSENT = 1


def consent_text() -> str:
    """Paragraphs with a blank line between."""
    return "\n\n".join(
        (
            _(
                "Your data stay on your machine: the programs that you install read them there and send none of them. "
                "The small program that hands messages on to these comes with each training from this site, by way of "
                "Flower; so you trust whoever runs the site not to send another in its place."
            ),
            _(
                "Researchers of this site choose your node for trainings. Each sends the weights of a network; your "
                "node trains it on your examples and sends the changed weights back, how many examples there were, "
                "how long it took, and the mean loss on them. It may be asked for sums that owners need in common, as "
                "for a scaling, and for its mean loss, by which some runs choose who trains."
            ),
            _(
                "How many examples of each class you have, and how a model does on yours, is told only if you allow "
                "it. An example is never told."
            ),
            _(
                "Weights can give something away of what they were trained on. The page of a run says which protection "
                "it used, and what attacks on it found where that was tried."
            ),
            _(
                "Researchers and admins of this site see your node's name, whose it is, its public key, the version of "
                "its program, since when it is there, and of each round how long it took, how many bytes travelled, "
                "and why it failed. Runs name the nodes that took part."
            ),
            _(
                "Your node works for one run at a time. You can pause it or leave at any time; the site can turn it "
                "away. What has gone into a model cannot be taken out again. Your node writes down all that it sends."
            ),
        )
    )
