package main

import (
	"encoding/json"
	"strings"
)

// payload is the data of every intent, and the body of every bare request:
// about 1 KB, as webhooks have.
var payload = json.RawMessage(`{"id":"usr_01J9ZK3V5T8Q2W4E6R8T0Y2U4I","name":"Ada Lovelace","note":"` +
	strings.Repeat("lorem ipsum ", 76) + `"}`)
