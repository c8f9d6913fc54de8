"""nodes: owners' own machines, and where a training was

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade():
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "nodes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("public_key", sa.String(length=300), nullable=False),
        sa.Column("node_id", sa.String(length=40), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("tells", sa.String(length=200), nullable=False),
        sa.Column("version", sa.String(length=40), nullable=False),
        sa.Column("about", sa.String(length=200), nullable=False),
        sa.Column("consent", sa.Integer(), nullable=False),
        sa.Column("created", moment, nullable=False),
        sa.Column("changed", moment, nullable=False),
        sa.CheckConstraint("state IN ('waiting', 'joined', 'revoked', 'left')", name=op.f("ck_nodes_state")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_nodes_user_id_users"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nodes")),
        sa.UniqueConstraint("name", name=op.f("uq_nodes_name")),
        sa.UniqueConstraint("public_key", name=op.f("uq_nodes_public_key")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_nodes_secret_hash")),
    )
    op.create_index(op.f("ix_nodes_user_id"), "nodes", ["user_id"])
    op.create_index(op.f("ix_nodes_state"), "nodes", ["state"])
    op.create_table(
        "node_invites",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("made", sa.Integer(), nullable=True),
        sa.Column("created", moment, nullable=False),
        sa.Column("expires", moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_node_invites_user_id_users"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["made"], ["nodes.id"], name=op.f("fk_node_invites_made_nodes"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_node_invites")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_node_invites_secret_hash")),
    )
    op.create_index(op.f("ix_node_invites_user_id"), "node_invites", ["user_id"])
    # In place, as SQLite's numbers would start anew in a copied table; what is there already was on this machine.
    op.add_column("jobs", sa.Column("nodes", sa.Text(), nullable=False, server_default=""))


def downgrade():
    op.drop_column("jobs", "nodes")
    op.drop_table("node_invites")
    op.drop_table("nodes")
