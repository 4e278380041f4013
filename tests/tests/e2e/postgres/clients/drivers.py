"""psycopg and SQLAlchemy at the PostgreSQL door, which the environment names (PG*)."""

import datetime
import decimal
import threading
import uuid

import psycopg
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

UTC = datetime.timezone.utc
ROW = (
    1,
    True,
    -5,
    1.5,
    decimal.Decimal("-12345.0670"),
    "hällo\n",
    b"\0\1\\",
    datetime.date(1, 1, 1),
    datetime.time(23, 59, 59, 999999),
    datetime.datetime(9999, 12, 31, 23, 59, 59, 999999),
    datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    uuid.UUID(int=7),
    {"a": [1, None], "b": "x"},
)
TYPES = "bool, int2, float8, numeric, text, bytea, date, time, timestamp, timestamptz, uuid, jsonb"


def values_in_both_forms():
    columns = ", ".join(f"c{at} {kind.strip()}" for at, kind in enumerate(TYPES.split(",")))
    with psycopg.connect("dbname=shop") as connection:
        connection.execute(f"CREATE TABLE kinds (id int PRIMARY KEY, {columns})")
        given = ROW[:-1] + (psycopg.types.json.Jsonb(ROW[-1]),)
        for form, number in (("%s", 1), ("%b", 2), ("%t", 3)):
            places = ", ".join([form] * len(given))
            connection.execute(f"INSERT INTO kinds VALUES ({places})", (number,) + given[1:])
    with psycopg.connect("dbname=shop") as connection:
        for binary in (False, True):
            with connection.cursor(binary=binary) as cursor:
                cursor.execute("SELECT * FROM kinds ORDER BY id")
                for number, row in enumerate(cursor.fetchall(), start=1):
                    assert row == (number,) + ROW[1:], row
        nothing = connection.execute("SELECT %s::int, %s::jsonb", (None, None)).fetchone()
        assert nothing == (None, None)


def transactions():
    with psycopg.connect("dbname=shop", autocommit=True) as connection:
        connection.execute("CREATE TABLE notes (id int PRIMARY KEY, word text)")
        with connection.transaction():
            connection.execute("INSERT INTO notes VALUES (1, 'one')")
            try:
                with connection.transaction():
                    connection.execute("INSERT INTO notes VALUES (1, 'again')")
            except psycopg.errors.UniqueViolation:
                pass
            connection.execute("INSERT INTO notes VALUES (2, 'two')")
        try:
            with connection.transaction():
                connection.execute("DELETE FROM notes")
                raise KeyError
        except KeyError:
            pass
        many = [(number, str(number)) for number in range(3, 1003)]
        with connection.pipeline(), connection.cursor() as cursor:
            cursor.executemany("INSERT INTO notes VALUES (%s, %s)", many)
        rows = connection.execute("SELECT count(*), min(word) FROM notes WHERE id < %s", (3,))
        assert rows.fetchone() == (2, "one")
        with connection.cursor().copy("COPY notes TO STDOUT") as copy:
            assert sum(1 for _ in copy.rows()) == 1002


def cancelled():
    with psycopg.connect("dbname=shop", autocommit=True) as connection:
        timer = threading.Timer(0.5, connection.cancel)
        timer.start()
        try:
            connection.execute("SELECT count(*) FROM notes a, notes b, notes c, notes d")
            raise AssertionError("nobody waits for this")
        except psycopg.errors.QueryCanceled:
            pass
        assert connection.execute("SELECT 1").fetchone() == (1,)


class Base(DeclarativeBase):
    pass


class Article(Base):
    __tablename__ = "articles"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(sa.String(40), unique=True)
    price: Mapped[decimal.Decimal | None] = mapped_column(sa.Numeric(10, 2))


def mapped():
    engine = sa.create_engine("postgresql+psycopg://", connect_args={"dbname": "shop"})
    Base.metadata.create_all(engine)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(Article(id=at, name=f"a{at}", price=at) for at in range(1, 4))
        session.commit()
        session.get(Article, 2).price = decimal.Decimal("9.99")
        session.delete(session.get(Article, 3))
        session.commit()
        found = session.scalars(sa.select(Article).order_by(Article.id)).all()
        assert [(one.name, one.price) for one in found] == [
            ("a1", decimal.Decimal("1.00")),
            ("a2", decimal.Decimal("9.99")),
        ]
    inspector = sa.inspect(engine)
    assert "articles" in inspector.get_table_names()
    assert inspector.get_pk_constraint("articles")["constrained_columns"] == ["id"]
    uniques = inspector.get_unique_constraints("articles")
    assert [one["column_names"] for one in uniques] == [["name"]], uniques
    reflected = sa.MetaData()
    reflected.reflect(engine)
    columns = reflected.tables["articles"].columns
    shown = [(one.name, str(one.type), one.nullable) for one in columns]
    assert shown == [
        ("id", "INTEGER", False),
        ("name", "VARCHAR(40)", False),
        ("price", "NUMERIC(10, 2)", True),
    ], shown
    engine.dispose()


values_in_both_forms()
transactions()
cancelled()
mapped()
print("done")
