"""What callbacks say."""

from fastconv import config


def say(text: str) -> None:
    """Print ``text``, or log it if interactive logging is off."""
    if config.is_interactive_logging_enabled():
        print(text, flush=True)
    else:
        import logging

        logging.getLogger("fastconv").info(text)
