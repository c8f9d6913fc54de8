"""How Alembic reaches the site's database; run inside an application context (Flask-Migrate, `app.cli`)."""

from typing import Any

from alembic import context
from flask import current_app

db = current_app.extensions["migrate"].db


def render_item(kind: str, item: Any, autogen_context: Any) -> str | bool:
    """Write the site's own column type as the one the database sees."""
    if kind == "type" and type(item).__name__ == "Moment":
        return "sa.DateTime(timezone=True)"
    return False


with db.engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=db.metadata,
        render_item=render_item,
        render_as_batch=True,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()
