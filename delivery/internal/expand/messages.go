package expand

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/store"
)

// messages reads the messages of an intent that are stored, by dialect.
func (i *Intents) messages(ctx context.Context, in *Intent) (map[string]dialect.Message, error) {
	here := in.Payloads.Messages()
	rows, err := i.Store.LoadMessages(ctx, &store.LoadMessagesParams{
		IntentID: in.ID, Here: slices.AppendSeq([]string{}, maps.Keys(here)),
	})
	if err != nil {
		return nil, callbacks.Stall("load the messages", err)
	}
	messages := map[string]dialect.Message{}
	for _, row := range rows {
		body, ok := here[row.Dialect]
		if !ok {
			body = in.Payloads.Share(row.Dialect, row.Body)
		}
		msg := dialect.Message{
			ID:          in.Event.ID,
			Type:        in.Event.Type,
			ContentType: row.ContentType,
			Body:        body,
			OccurredAt:  in.Event.OccurredAt,
		}
		if err := json.Unmarshal(row.Headers, &msg.Headers); err != nil {
			return nil, fmt.Errorf("delivery: headers of the message of %s: %w", in.Event.ID, err)
		}
		messages[row.Dialect] = msg
	}
	return messages, nil
}

// storedMessages adds the messages that the commit of a chunk has stored to those from
// before. A chunk after the first one and a decision that was made later can make a
// message in the same dialect; then both send the one that was stored first.
func (i *Intents) storedMessages(
	ctx context.Context, c *Chunk, before map[string]dialect.Message,
) (map[string]dialect.Message, error) {
	if len(c.Messages) == 0 {
		return before, nil
	}
	if c.Intent.State == IntentPending && c.Intent.After == uuid.Nil {
		return c.Messages, nil
	}
	return i.messages(ctx, c.Intent)
}
