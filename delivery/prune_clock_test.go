package delivery_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/outbox"
)

// idMoved is the expression of an id whose time is another by so many milliseconds.
func idMoved(by string) string {
	return `(lpad(to_hex(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint ` + by + `), 12, '0')
		|| right(replace(id::text, '-', ''), 20))::uuid`
}

// A clock ran a day ahead while more was delivered than is kept, and was put right.
func TestPrune_IDsFromAClockThatRanAhead(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]string{
		"of the engine's machine": `UPDATE riverhook.delivery SET id = ` + idMoved("+ 86400000"),
		"of the database": `UPDATE riverhook.delivery SET created_at = created_at + interval '1 day', ended_at = ended_at + interval '1 day',
			id = ` + idMoved("+ 86400000"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			sub := b.subscribe(b.receiver(nil), nil)
			engine := b.keeping(delivery.HistoryRules{PerSubscription: 3})
			send := func(kind string, n int) {
				for i := range n {
					b.enqueue(func(in *outbox.Intent) { in.ID = fmt.Sprintf("%s-%d", kind, i) })
				}
				b.drain(engine)
			}
			send("ahead", 4)
			b.exec(ahead)
			send("new", 2)

			b.prune(engine)

			require.Subset(t, b.kept(sub.ID), []string{"new-0", "new-1"})
			send("newer", 2)
			b.prune(engine)
			kept := b.kept(sub.ID)
			require.Subset(t, kept, []string{"newer-0", "newer-1"})
			require.Len(t, kept, 7, "of what was made by the right clock 3 are kept")
			if name == "of the database" {
				return
			}
			// The day has come.
			b.exec(`UPDATE riverhook.delivery SET created_at = created_at - interval '2 days', ended_at = ended_at - interval '2 days',
				id = ` + idMoved("- 172800000"))
			b.prune(engine)
			require.Subset(t, b.kept(sub.ID), []string{"newer-0", "newer-1"})
			send("later", 3)
			send("last", 3)
			b.prune(engine)
			kept = b.kept(sub.ID)
			require.Len(t, kept, 3)
			require.Subset(t, kept, []string{"last-0", "last-1", "last-2"})
		})
	}
}

func TestEngine_MakesIDsByTheClockOfTheDatabase(t *testing.T) {
	t.Parallel()
	for name, skew := range map[string]time.Duration{"ahead": 24 * time.Hour, "behind": -24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			b.subscribe(b.receiver(nil), nil)
			engine := b.engine(nil)
			engine.SetClock(func() time.Time { return time.Now().Add(skew) })
			require.NoError(t, engine.Heartbeat(t.Context()))
			id := b.enqueue(nil)
			b.drain(engine)

			made := b.deliveries(id)[0].ID
			require.Equal(t, uuid.Version(7), made.Version())
			require.Equal(t, uuid.RFC4122, made.Variant())
			seconds, nanos := made.Time().UnixTime()
			require.WithinDuration(t, time.Now(), time.Unix(seconds, nanos), time.Hour)
		})
	}
}
