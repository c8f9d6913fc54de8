"""What workers are forked with, as it takes its time to import. Nothing of ours that looks at the environment."""

from contextlib import suppress

from utils.nets.vision import torchvision_models

with suppress(Exception):  # who needs it will hear of it
    torchvision_models()
