package pgserver

import (
	"context"
	"github.com/stretchr/testify/require"
	"testing"
	"time"
)

func TestX(t *testing.T) {
	b := time.Now()
	s, err := Start(context.Background(), &Opts{Fast: true})
	require.NoError(t, err)
	t.Log(s.Source(), s.URL(), time.Since(b))
	b = time.Now()
	require.NoError(t, s.Close())
	t.Log(time.Since(b))
}
