package delivery_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/internal/hostile"
)

func TestEngine_TextsThatAreNotUTF8AreRefused(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.subscribe(b.receiver(nil), operatorOnly)
	engine := b.engine(nil)
	id := b.enqueue(nil)
	b.drain(engine)
	d := b.deliveries(id)[0].ID
	for name, text := range hostile.Impossible() {
		err := engine.Cancel(t.Context(), d, text)
		require.ErrorContains(t, err, "the reason must be valid UTF-8", name)
		cfg := b.cfg
		cfg.ID = text
		_, err = delivery.New(b.pool, &cfg)
		require.ErrorContains(t, err, "ID: must be valid UTF-8", name)
		if name == "NUL" { // JSON has an escape for it
			continue
		}
		question := mayDelete()
		question.Data = map[string]string{"name": text}
		_, err = engine.Ask(t.Context(), question)
		require.ErrorIs(t, err, delivery.ErrInvalidQuestion, name)
		require.ErrorContains(t, err, `Data: must be valid UTF-8: that at "name" is not`, name)
	}
}
