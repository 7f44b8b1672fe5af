package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/riverhook/riverhook/event"
)

// sample is a line of a file of payloads.
type sample struct {
	eventType string
	line      int
	payload   json.RawMessage // byte for byte as it is in the file
}

// readSamples reads a whole file, so that a bad line is found before anything
// is sent. Lines may be of any length; empty ones are skipped.
func readSamples(path string) ([]sample, error) {
	file, err := os.Open(path) //nolint:gosec // whoever runs the program names it
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	samples, err := parseSamples(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return samples, nil
}

func parseSamples(r io.Reader) ([]sample, error) {
	var samples []sample
	lines := bufio.NewReader(r)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if len(bytes.TrimSpace(line)) > 0 {
			s, err := parseSample(line)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", number, err)
			}
			s.line = number
			samples = append(samples, s)
		}
		if err != nil {
			break
		}
	}
	if len(samples) == 0 {
		return nil, errors.New("there is no payload in it")
	}
	return samples, nil
}

func parseSample(line []byte) (sample, error) {
	var fields struct {
		Event   string          `json:"event"`
		Payload json.RawMessage `json:"payload"`
	}
	if err := json.Unmarshal(line, &fields); err != nil {
		return sample{}, fmt.Errorf(`not {"event":"...","payload":{...}}: %w`, err)
	}
	switch {
	case fields.Event == "":
		return sample{}, errors.New(`"event" is missing`)
	case fields.Payload == nil:
		return sample{}, errors.New(`"payload" is missing`)
	}
	s := sample{eventType: eventTypeOf(fields.Event), payload: fields.Payload}
	if err := event.CheckType(s.eventType); err != nil {
		return sample{}, fmt.Errorf("event %q: as an event type %w", fields.Event, err)
	}
	return s, nil
}

// eventTypeOf makes a noun and a verb of GitHub's names of events, which are
// single words.
func eventTypeOf(name string) string {
	if strings.HasPrefix(name, "github.") {
		return name
	}
	return "github." + name
}
