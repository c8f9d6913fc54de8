"""kinds of jobs

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade():
    # In place, as SQLite's numbers would start anew in a copied table; what is there already is a training.
    op.add_column("jobs", sa.Column("kind", sa.String(length=20), nullable=False, server_default="training"))


def downgrade():
    op.drop_column("jobs", "kind")
