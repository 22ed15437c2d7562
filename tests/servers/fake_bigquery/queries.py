# SPDX-License-Identifier: Apache-2.0
"""Queries, as far as a writer of histories asks them: SELECTs run on DuckDB over the ledger's rows, views and table functions included; so does a
MERGE, whose rows the target then holds; DDL is kept word by word. Other DML is noted and not carried out."""
import re
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow
import sqlglot
from sqlglot import exp

from faults import Refused
from values import to_rest, type_of

_HOME = str(Path(duckdb.__file__).parents[2] / "home")  # where get-bigquery has laid DuckDB's extensions
_ARROW = {"INT64": pyarrow.int64(), "FLOAT64": pyarrow.float64(), "BOOL": pyarrow.bool_(), "STRING": pyarrow.string(), "JSON": pyarrow.string(),
          "GEOGRAPHY": pyarrow.string(), "BYTES": pyarrow.binary(), "DATE": pyarrow.date32(), "TIME": pyarrow.time64("us"),
          "DATETIME": pyarrow.timestamp("us"), "TIMESTAMP": pyarrow.timestamp("us", "UTC"), "NUMERIC": pyarrow.decimal128(38, 9), "BIGNUMERIC": pyarrow.string()}
_BACK = [("HUGEINT", "INTEGER"), ("BIGINT", "INTEGER"), ("INTEGER", "INTEGER"), ("SMALLINT", "INTEGER"), ("TINYINT", "INTEGER"), ("UBIGINT", "NUMERIC"), ("DOUBLE", "FLOAT"),
         ("FLOAT", "FLOAT"), ("BOOLEAN", "BOOLEAN"), ("BLOB", "BYTES"), ("DATE", "DATE"), ("TIMESTAMP WITH TIME ZONE", "TIMESTAMP"),
         ("TIMESTAMP", "DATETIME"), ("TIME", "TIME"), ("DECIMAL", "NUMERIC")]


def _rest_type(kind):
    return next((name for start, name in _BACK if str(kind).startswith(start)), "STRING")


def _literal(parameter):
    """A query parameter as a literal of DuckDB."""
    kind, value = parameter["parameterType"]["type"], parameter["parameterValue"].get("value")
    if parameter["parameterType"].get("arrayType"):
        inner = parameter["parameterType"]["arrayType"]
        return exp.Array(expressions=[_literal({"parameterType": inner, "parameterValue": item}) for item in parameter["parameterValue"].get("arrayValues", [])])
    if value is None:
        return exp.Null()
    if kind in ("INT64", "FLOAT64", "NUMERIC", "BIGNUMERIC", "BOOL"):
        return sqlglot.parse_one(value, read="bigquery")
    return exp.Literal.string(value)


class Queries:
    def __init__(self, store):
        self.store = store
        self.asked = []  # all of them, word by word; the newest last

    def run(self, sql, default_dataset, parameters=()):
        """((fields, rows as REST has them), what the job's statistics add); of a script those of its last statement."""
        self.asked.append(sql)
        result = ([], []), {"statementType": "SCRIPT"}
        trees = self._parse(sql)
        for tree in trees:
            text = sql if len(trees) == 1 else tree.sql(dialect="bigquery")
            result = self._statement(tree, text, default_dataset, parameters)
        return result

    @staticmethod
    def _parse(sql):
        try:
            return [tree for tree in sqlglot.parse(sql, read="bigquery") if tree]
        except sqlglot.errors.SqlglotError as error:
            raise Refused(400, "invalidQuery", str(error)) from error

    def _statement(self, tree, sql, default_dataset, parameters):
        nothing = ([], [])
        if isinstance(tree, exp.Merge):
            return nothing, {"statementType": "MERGE", "numDmlAffectedRows": str(self._merge(tree, default_dataset))}
        if isinstance(tree, exp.Create):
            self._create(tree, sql, default_dataset)
            return nothing, {"statementType": "CREATE"}
        if isinstance(tree, exp.Alter):
            self._alter(tree, default_dataset)
            return nothing, {"statementType": "ALTER_TABLE"}
        if isinstance(tree, exp.Drop):
            dataset, name = self._place(tree.this, default_dataset)
            if (dataset, name) in self.store.tables or not tree.args.get("exists"):
                self.store.drop_table(dataset, name)
            return nothing, {"statementType": "DROP_TABLE"}
        if isinstance(tree, exp.Query):
            return self._select(tree, default_dataset, parameters), {}
        return nothing, {"statementType": "SCRIPT", "numDmlAffectedRows": "0"}

    def try_out(self, sql, default_dataset, parameters=()):
        """A dry run: what is wrong with a SELECT is said; nothing else is looked into."""
        trees = self._parse(sql)
        if len(trees) == 1 and isinstance(trees[0], exp.Query):
            self._select(trees[0], default_dataset, parameters)

    @staticmethod
    def _place(table, default_dataset):
        """(dataset, table) of a name in a query."""
        parts = [part for piece in table.parts for part in piece.name.split(".")] if isinstance(table, exp.Table) else table.sql(dialect="bigquery").replace("`", "").split(".")
        return (parts[-2] if len(parts) > 1 else default_dataset), parts[-1]

    # ---- SELECT

    def _select(self, tree, default_dataset, parameters):
        database = duckdb.connect(config={"home_directory": _HOME})
        try:
            database.execute("SET TimeZone = 'UTC'")
            tables = {}
            self._bring(database, tree, default_dataset, tables)
            named = {parameter.get("name"): parameter for parameter in parameters}
            for place in list(tree.find_all(exp.Parameter)):
                place.replace(_literal(named[place.name]))
            for place, parameter in zip(list(tree.find_all(exp.Placeholder)), parameters):
                place.replace(_literal(parameter))
            sql = tree.sql(dialect="duckdb")
            # What DuckDB has no type for went in as text, and comes out under the same name.
            odd = {field["name"]: type_of(field) for table in tables.values() for field in table.fields if type_of(field) in ("BIGNUMERIC", "JSON")}
            columns = [(name, odd.get(name, "STRING") if kind == "VARCHAR" else _rest_type(kind)) for name, kind, *_ in database.execute("DESCRIBE " + sql).fetchall()]
            # DuckDB hands a TIMESTAMP out by a package that is not there; REST wants microseconds anyway.
            stamps = ", ".join(f'epoch_us("{name}") AS "{name}"' for name, kind in columns if kind == "TIMESTAMP")
            rows = database.execute(f"SELECT * REPLACE ({stamps}) FROM ({sql})" if stamps else sql).fetchall()
            return [{"name": name, "type": kind, "mode": "NULLABLE"} for name, kind in columns], [[to_rest(value) for value in row] for row in rows]
        except (duckdb.Error, sqlglot.errors.SqlglotError) as error:
            raise Refused(400, "invalidQuery", f"the fake can't: {error}") from error
        finally:
            database.close()

    def _bring(self, database, tree, default_dataset, seen):
        """Every table and view that the query names, under a name of its own in DuckDB."""
        self._expand_functions(tree, default_dataset)
        names = {cte.alias for cte in tree.find_all(exp.CTE)}
        for node in list(tree.find_all(exp.Table)):
            if not node.name or (not node.db and node.name in names):
                continue
            dataset, name = self._place(node, default_dataset)
            if "INFORMATION_SCHEMA" in node.sql().upper():
                raise Refused(400, "invalidQuery", "the fake has no INFORMATION_SCHEMA")
            table = self.store.table(dataset, name)
            self._look_for_filter(node, table)
            inside = f"{dataset}.{name}"
            if inside not in seen:
                seen[inside] = table
                self._bring_one(database, table, inside, dataset, seen)
            replacement = exp.Table(this=exp.to_identifier(inside, quoted=True), alias=node.args.get("alias") or exp.TableAlias(this=exp.to_identifier(name)))
            for joins in ("joins", "pivots", "laterals"):
                if node.args.get(joins):
                    replacement.set(joins, node.args[joins])
            node.replace(replacement)

    def _expand_functions(self, tree, default_dataset):
        """A call of a table function becomes its SELECT, with the arguments in their places."""
        for node in list(tree.find_all(exp.Table)):
            if not isinstance(node.this, exp.Anonymous):
                continue
            parts = node.this.name.split(".")
            routine = self.store.routines.get((parts[-2] if len(parts) > 1 else default_dataset, parts[-1]))
            if routine is None:
                raise Refused(404, "notFound", f"Not found: Routine {node.this.name}")
            made = sqlglot.parse_one(routine["definitionBody"], read="bigquery")
            arguments = dict(zip((parameter.name for parameter in made.this.expressions), node.this.expressions))
            body = made.expression.copy()
            for column in list(body.find_all(exp.Column)):
                if not column.table and column.name in arguments:
                    column.replace(exp.paren(arguments[column.name].copy()))
            node.replace(exp.Subquery(this=body, alias=node.args.get("alias") or exp.TableAlias(this=exp.to_identifier(parts[-1]))))

    @staticmethod
    def _look_for_filter(node, table):
        """requirePartitionFilter: the SELECT out of the table must name its days."""
        if not table.resource.get("requirePartitionFilter"):
            return
        column = table.resource["timePartitioning"]["field"]
        select = node.find_ancestor(exp.Select)
        where = select.args.get("where") if select else None
        if where is None or column not in {named.name for named in where.find_all(exp.Column)}:
            raise Refused(400, "invalidQuery", f"Cannot query over table '{table.label}' without a filter over column(s) '{column}' that can be used for partition elimination")

    def _bring_one(self, database, table, inside, dataset, seen):
        view = table.resource.get("view") or table.resource.get("materializedView")
        if view:
            tree = sqlglot.parse_one(view["query"], read="bigquery")
            self._bring(database, tree, dataset, seen)
            database.execute(f'CREATE VIEW "{inside}" AS {tree.sql(dialect="duckdb")}')
            return
        names = [field["name"] for field in table.fields]
        kinds = [_ARROW[type_of(field)] for field in table.fields]
        text = {field["name"] for field in table.fields if type_of(field) == "BIGNUMERIC"}
        columns = [pyarrow.array([to_rest(row.get(name)) if name in text else row.get(name) for row, _, _ in table.rows], kind) for name, kind in zip(names, kinds)]
        database.register("arrow_rows", pyarrow.table(columns, names=names))
        database.execute(f'CREATE TABLE "{inside}" AS SELECT * FROM arrow_rows')
        database.unregister("arrow_rows")

    # ---- MERGE

    def _merge(self, tree, default_dataset):
        """How many rows it changed or added."""
        target = self.store.table(*self._place(tree.this, default_dataset))
        database = duckdb.connect(config={"home_directory": _HOME})
        try:
            database.execute("SET TimeZone = 'UTC'")
            self._bring(database, tree, default_dataset, {})
            count = database.execute(tree.sql(dialect="duckdb")).fetchone()[0]
            rows = database.execute(f'SELECT * FROM "{target.label}"').to_arrow_table().to_pylist()
        except (duckdb.Error, sqlglot.errors.SqlglotError) as error:
            raise Refused(400, "invalidQuery", f"the fake can't: {error}") from error
        finally:
            database.close()
        text = [field["name"] for field in target.fields if type_of(field) == "BIGNUMERIC"]
        for row in rows:
            row.update({name: Decimal(row[name]) for name in text if row[name] is not None})
        target.rows = [(row, "merge", number) for number, row in enumerate(rows)]
        return count

    # ---- DDL

    def _create(self, tree, sql, default_dataset):
        kind = (tree.args.get("kind") or "").upper()
        target = tree.this
        while not isinstance(target, exp.Table):
            target = target.this
        dataset, name = self._place(target, default_dataset)
        self.store.dataset(dataset)
        if "FUNCTION" in kind or isinstance(tree.this, exp.UserDefinedFunction):
            self.store.routines[dataset, name] = {"routineReference": {"datasetId": dataset, "routineId": name}, "definitionBody": sql}
            return
        there = (dataset, name) in self.store.tables
        if there and tree.args.get("exists"):
            return
        if there and not tree.args.get("replace"):
            raise Refused(409, "duplicate", f"Already Exists: Table {self.store.project}:{dataset}.{name}")
        if there:
            self.store.drop_table(dataset, name)
        resource = {"tableReference": {"tableId": name}}
        if kind == "VIEW":
            resource["view"] = {"query": re.split(r"\bAS\b", sql, maxsplit=1, flags=re.I)[1].strip().rstrip(";"), "useLegacySql": False}
        else:
            fields = [{"name": column.name, "type": column.args["kind"].sql(dialect="bigquery").split("(")[0]} for column in tree.find_all(exp.ColumnDef)]
            resource["schema"] = {"fields": fields}
        self.store.make_table(dataset, resource)

    def _alter(self, tree, default_dataset):
        dataset, name = self._place(tree.this, default_dataset)
        table = self.store.table(dataset, name)
        for action in tree.args.get("actions", []):
            if isinstance(action, exp.ColumnDef):
                self.store.patch_table(dataset, name, {"schema": {"fields": table.fields + [{"name": action.name, "type": action.args["kind"].sql(dialect="bigquery")}]}}, None)
            elif isinstance(action, exp.AlterColumn) and action.args.get("dtype"):
                kind = re.fullmatch(r"(\w+)(?:\((\d+)(?:, *(\d+))?\))?", action.args["dtype"].sql(dialect="bigquery"))
                new = {"type": kind[1]}
                if kind[2]:
                    new.update({"maxLength": kind[2]} if kind[1] in ("STRING", "BYTES") else {"precision": kind[2], "scale": kind[3] or "0"})
                self.store.alter_type(table, action.name, new)
