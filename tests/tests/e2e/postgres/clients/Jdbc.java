import java.math.BigDecimal;
import java.sql.*;
import java.util.ArrayList;
import java.util.List;

/** The PostgreSQL JDBC driver at the door, which the environment names (PG*). */
public class Jdbc {
    static void same(Object found, Object expected) {
        if (!found.equals(expected)) {
            throw new AssertionError(found + " is not " + expected);
        }
    }

    static List<String> column(ResultSet rows, String name) throws SQLException {
        List<String> found = new ArrayList<>();
        while (rows.next()) {
            found.add(rows.getString(name));
        }
        return found;
    }

    static void statements(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(
                "CREATE TABLE lines (id bigint PRIMARY KEY, word varchar(20) NOT NULL, price numeric(10,2), "
                    + "born timestamp, is_new bool, UNIQUE (word))");
        }
        connection.setAutoCommit(false);
        try (PreparedStatement insert =
            connection.prepareStatement("INSERT INTO lines VALUES (?, ?, ?, ?, ?)")) {
            for (int at = 0; at < 500; at++) {
                insert.setLong(1, at);
                insert.setString(2, "w" + at);
                insert.setBigDecimal(3, new BigDecimal(at + ".25"));
                insert.setTimestamp(4, Timestamp.valueOf("2026-01-02 03:04:05.678"));
                insert.setBoolean(5, at % 2 == 0);
                insert.addBatch();
            }
            same(insert.executeBatch().length, 500);
        }
        connection.commit();
        // Prepared on the server after some rounds, with values in binary form; in pieces.
        try (PreparedStatement query =
            connection.prepareStatement("SELECT * FROM lines WHERE id >= ? ORDER BY id")) {
            query.setFetchSize(7);
            for (int round = 0; round < 8; round++) {
                query.setLong(1, 450);
                int count = 0;
                try (ResultSet rows = query.executeQuery()) {
                    while (rows.next()) {
                        int at = 450 + count++;
                        same(rows.getLong(1), (long) at);
                        same(rows.getString(2), "w" + at);
                        same(rows.getBigDecimal(3), new BigDecimal(at + ".25"));
                        same(rows.getTimestamp(4), Timestamp.valueOf("2026-01-02 03:04:05.678"));
                        same(rows.getBoolean(5), at % 2 == 0);
                    }
                }
                same(count, 50);
            }
        }
        try (Statement statement = connection.createStatement()) {
            statement.executeUpdate("DELETE FROM lines");
            connection.rollback();
            statement.executeUpdate("INSERT INTO lines VALUES (1, 'again', NULL, NULL, NULL)");
            throw new AssertionError("a key is taken");
        } catch (SQLException error) {
            same(error.getSQLState(), "23505");
            connection.rollback();
        }
        connection.setAutoCommit(true);
    }

    static void catalog(DatabaseMetaData about) throws SQLException {
        same(column(about.getTables(null, "public", "li%", new String[] {"TABLE"}), "TABLE_NAME"), List.of("lines"));
        List<String> names = List.of("id", "word", "price", "born", "is_new");
        same(column(about.getColumns(null, "public", "lines", "%"), "COLUMN_NAME"), names);
        List<String> types = List.of("int8", "varchar", "numeric", "timestamp", "bool");
        same(column(about.getColumns(null, "public", "lines", "%"), "TYPE_NAME"), types);
        List<String> nullable = List.of("NO", "NO", "YES", "YES", "YES");
        same(column(about.getColumns(null, "public", "lines", "%"), "IS_NULLABLE"), nullable);
        same(column(about.getPrimaryKeys(null, "public", "lines"), "COLUMN_NAME"), List.of("id"));
        List<String> keys = List.of("lines_pkey", "lines_word_key");
        same(column(about.getIndexInfo(null, "public", "lines", true, false), "INDEX_NAME"), keys);
        same(column(about.getImportedKeys(null, "public", "lines"), "FK_NAME"), List.of());
        same(column(about.getSchemas(), "TABLE_SCHEM").contains("public"), true);
        same(column(about.getTypeInfo(), "TYPE_NAME").contains("numeric"), true);
    }

    public static void main(String[] words) throws SQLException {
        String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/shop";
        try (Connection connection =
            DriverManager.getConnection(url, System.getenv("PGUSER"), System.getenv("PGPASSWORD"))) {
            statements(connection);
            catalog(connection.getMetaData());
        }
        System.out.println("done");
    }
}
