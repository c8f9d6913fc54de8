"""The weather story: sunny or cloudy, from ten owners' photos."""
