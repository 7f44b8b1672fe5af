package delivery_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/outbox"
)

// diskFull is the SQLSTATE of a write that finds no space.
const diskFull = "53100"

// disk fills the disk under some tables: each write to them gets the error that
// Postgres has for that.
type disk struct{ b *bundle }

// diskUnder is under the tables whose name is like the pattern.
func (b *bundle) diskUnder(pattern string) disk {
	b.t.Helper()
	b.exec(`CREATE SCHEMA disk`)
	b.exec(`CREATE TABLE disk.state AS SELECT false AS is_full`)
	b.exec(`CREATE SEQUENCE disk.refused`) // of records, which no rollback sets back
	b.exec(`CREATE FUNCTION disk.write() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF (SELECT is_full FROM disk.state) THEN
				IF TG_TABLE_NAME IN ('attempt', 'delivery') THEN PERFORM nextval('disk.refused'); END IF;
				RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
			END IF;
			RETURN NULL;
		END $$`)
	rows, err := b.pool.Query(b.t.Context(), `SELECT tablename FROM pg_tables WHERE schemaname = 'riverhook' AND tablename LIKE $1`, pattern)
	require.NoError(b.t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(b.t, err)
	require.NotEmpty(b.t, tables)
	for _, table := range tables {
		b.exec(`CREATE TRIGGER disk BEFORE INSERT OR UPDATE ON riverhook.` + table + ` EXECUTE FUNCTION disk.write()`)
	}
	return disk{b}
}

func (d disk) fill() { d.b.exec(`UPDATE disk.state SET is_full = true`) }
func (d disk) free() { d.b.exec(`UPDATE disk.state SET is_full = false`) }

// waitRefused waits until n more records have failed.
func (d disk) waitRefused(n int) {
	d.b.t.Helper()
	const query = `SELECT last_value FROM disk.refused`
	before := d.b.count(query)
	d.b.eventually(func() bool { return d.b.count(query) >= before+n })
}

// The disk fills up while the answers are on their way.
func TestDatabase_WhileTheDiskIsFullNothingIsSaidToBeDone(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var written log
	b.cfg.Logger = slog.New(slog.NewTextHandler(&written, nil))
	disk := b.diskUnder("%")
	answer := make(chan struct{})
	receiver := b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
		<-answer
		return deliverytest.Answer{}
	}})
	b.subscribe(receiver, patient)
	engine := b.start(b.engine(nil))
	const n = 20
	b.enqueueMany("some.event", n)
	b.wait(receiver, n)

	disk.fill()
	close(answer)
	disk.waitRefused(10)

	require.Zero(t, strings.Count(written.String(), "state=delivered"))
	require.Equal(t, n, b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'pending'`))
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.attempt`))
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.river_job WHERE state = 'completed'`))
	err := pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		_, err := b.outbox.Enqueue(t.Context(), tx, outbox.Intent{Type: "some.event"})
		return err
	})
	var refused *pgconn.PgError
	require.ErrorAs(t, err, &refused, "an application hears of it")
	require.Equal(t, diskFull, refused.Code)
	disk.free()

	require.Zero(t, b.requireAllTold(receiver, n), "nothing was sent again meanwhile")
	require.Equal(t, n, strings.Count(written.String(), "state=delivered"))
	require.NoError(t, engine.Ready())
}

// The engine stops before there is space again.
func TestRecord_ARequestWhoseRecordFailedIsRepeatedUnderItsID(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	disk := b.diskUnder("attempt")
	receiver, answer := b.hangingFirst(deliverytest.Answer{})
	b.subscribe(receiver, nil)
	engine := b.engine(func(cfg *delivery.Config) { cfg.Timeouts.Stop = time.Millisecond })
	require.NoError(t, engine.Start(t.Context()))
	id := b.enqueue(nil)
	b.wait(receiver, 1)
	disk.fill()
	answer()
	disk.waitRefused(2)

	begun := time.Now()
	require.Error(t, engine.Stop(context.Background()))
	require.Less(t, time.Since(begun), 10*time.Second, "it does not wait for space")
	require.Empty(t, b.history(id))
	require.Equal(t, "pending", b.deliveries(id)[0].State)
	disk.free()
	b.start(b.engine(nil))

	b.wait(receiver, 2)
	b.eventually(func() bool { return b.deliveries(id)[0].State == "delivered" })
	require.Equal(t, []string{"interrupted", "delivered"}, b.history(id))
	for _, req := range receiver.Requests() {
		require.Equal(t, id, req.ID())
	}
}
