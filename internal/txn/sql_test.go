package txn

import (
	"database/sql"
	"testing"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
)

func open(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", pgtest.EmptyDatabase(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func TestInSQL_RefusesAConnectionInNoTransaction(t *testing.T) {
	t.Parallel()
	conn, err := open(t).Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	scope := Scope{}.InSQL(conn)

	_, err = scope.DB().Exec(t.Context(), "CREATE TABLE committed ()")
	require.ErrorIs(t, err, errNotBegun)
	require.ErrorIs(t, scope.DB().QueryRow(t.Context(), "SELECT 1").Scan(new(int)), errNotBegun)

	_, err = conn.ExecContext(t.Context(), "BEGIN")
	require.NoError(t, err)
	_, err = scope.DB().Exec(t.Context(), "CREATE TABLE committed ()")
	require.NoError(t, err)
	_, err = conn.ExecContext(t.Context(), "ROLLBACK")
	require.NoError(t, err)
}

// A transaction of database/sql that is handed to host code as one of pgx does what it can,
// and says what it cannot.
func TestInSQL_NothingThatHostCodeCallsPanics(t *testing.T) {
	t.Parallel()
	sqlTx, err := open(t).BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer sqlTx.Rollback()
	tx := Scope{}.InSQL(sqlTx).tx

	rows, err := tx.Query(t.Context(), "SELECT 1 AS a, 'x' AS b")
	require.NoError(t, err)
	require.True(t, rows.Next())
	values, err := rows.Values()
	require.NoError(t, err)
	require.Len(t, values, 2)
	require.Equal(t, "b", rows.FieldDescriptions()[1].Name)
	require.Nil(t, rows.RawValues())
	require.Nil(t, rows.Conn())
	require.NotNil(t, rows.TypeMap())
	require.Empty(t, rows.CommandTag())
	rows.Close()
	_, err = tx.CopyFrom(t.Context(), pgx.Identifier{"a"}, nil, nil)
	require.ErrorIs(t, err, errNotSQL)
	_, err = tx.Prepare(t.Context(), "a", "SELECT 1")
	require.ErrorIs(t, err, errNotSQL)
	batch := tx.SendBatch(t.Context(), &pgx.Batch{})
	_, err = batch.Exec()
	require.ErrorIs(t, err, errNotSQL)
	rows, err = batch.Query() //nolint:sqlclosecheck // there are none
	require.ErrorIs(t, err, errNotSQL)
	require.Nil(t, rows)
	require.ErrorIs(t, batch.QueryRow().Scan(), errNotSQL)
	require.Equal(t, tx, batch.Tx())
	require.ErrorIs(t, batch.Close(), errNotSQL)
}

func TestIn_RefusesNil(t *testing.T) {
	t.Parallel()
	for name, tx := range map[string]pgx.Tx{"nil": nil, "a nil pointer": (*refusalPointer)(nil)} {
		_, err := Scope{}.In(tx).DB().Exec(t.Context(), "SELECT 1")
		require.ErrorIs(t, err, errNilTx, name)
	}
}

type refusalPointer struct{ refusal }
