package maintain

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLoop_RunsAgainAfterEachIntervalUntilItsContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		outage, trouble := errors.New("the database is away"), errors.New("the statement is wrong")
		l := Loop{
			Log:    slog.New(slog.NewTextHandler(&log, nil)),
			Outage: func(_ context.Context, err error) bool { return errors.Is(err, outage) },
		}
		ctx, cancel := context.WithCancel(t.Context())
		var at []time.Duration
		started := time.Now()
		l.Every(ctx, time.Minute, func(context.Context) error {
			at = append(at, time.Since(started))
			switch len(at) {
			case 1:
				return outage
			case 2:
				return trouble
			default:
				cancel()
				return trouble
			}
		})
		require.Equal(t, []time.Duration{0, time.Minute, 2 * time.Minute}, at)
		require.Equal(t, 1, bytes.Count(log.Bytes(), []byte(trouble.Error())))
		require.NotContains(t, log.String(), outage.Error())
	})
}
