//go:build interop

package delivery_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/deliverytest"
)

// clientRequest is what the scripts in testdata/clients read.
type clientRequest struct {
	Body    string            `json:"body"`
	Client  string            `json:"client"`
	Headers map[string]string `json:"headers"`
	Secrets []string          `json:"secrets"` // that the receiver has

	Name    string `json:"-"`
	Refused bool   `json:"-"`
}

type clientResult struct {
	Error string         `json:"error"`
	Event map[string]any `json:"event"`
}

// clients says which of them verify the requests of which dialect.
var clients = map[string][]string{
	"cloudevents":        {"cloudevents"},
	"cloudevents-binary": {"cloudevents"},
	"hub":                {"octokit"},
	"hub-sha1":           {"octokit", "invenio"},
	"pywebhooks":         {"pywebhooks", "pywebhooks_sample"},
	"servo":              {"servo"},
	"standard":           {"standardwebhooks", "svix"},
	"stripe":             {"stripe"},
}

var inPython = map[string]bool{"invenio": true, "pywebhooks": true, "pywebhooks_sample": true, "servo": true}

func TestDialects_ClientsOfOthersVerifyWhatAnEngineSends(t *testing.T) {
	t.Parallel()
	var node, python []clientRequest
	for name, c := range captureAll(t) {
		for _, client := range clients[name] {
			add := func(what string, r deliverytest.Request, body []byte, refused bool, secrets ...string) {
				request := clientRequest{
					Body:    string(body),
					Client:  client,
					Headers: map[string]string{},
					Secrets: secrets,
					Name:    client + " " + name + ": " + what,
					Refused: refused,
				}
				for header, values := range r.Header {
					request.Headers[strings.ToLower(header)] = values[0]
				}
				if inPython[client] {
					python = append(python, request)
				} else {
					node = append(node, request)
				}
			}
			add("before", c.before, c.before.Body, false, c.older)
			add("before, by another secret", c.before, c.before.Body, true, c.newer)
			add("before, tampered", c.before, bytes.Replace(c.before.Body, []byte("Zo"), []byte("Za"), 1), true, c.older)
			add("rotating, by the new secret", c.during, c.during.Body, false, c.newer)
			add("rotating, tampered", c.during, bytes.Replace(c.during.Body, []byte("2.5"), []byte("2.6"), 1), true, c.newer)
			switch {
			case overlaps(name):
				add("rotating, by the old secret", c.during, c.during.Body, false, c.older)
			default:
				add("rotating, by the old secret", c.during, c.during.Body, true, c.older)
				add("rotating, by both", c.during, c.during.Body, false, c.older, c.newer)
			}
		}
	}
	check(t, node, runNode(t, "verify.mjs", node))
	check(t, python, runPython(t, "verify.py", python))
}

func check(t *testing.T, requests []clientRequest, results []byte) {
	t.Helper()
	var got []clientResult
	require.NoError(t, json.Unmarshal(results, &got), "%s", results)
	require.NotEmpty(t, requests)
	require.Len(t, got, len(requests))
	var data any
	require.NoError(t, json.Unmarshal([]byte(dataInPythonsForm), &data))
	for i, r := range requests {
		if r.Refused {
			require.NotEmpty(t, got[i].Error, r.Name)
			continue
		}
		require.Empty(t, got[i].Error, r.Name)
		event := got[i].Event
		switch r.Client {
		case "cloudevents":
			require.Subset(t, event, map[string]any{
				"data": data, "datacontenttype": "application/json", "source": "/noaa/nws/oun", "specversion": "1.0", "subject": "user/ada",
				"type": "user.created",
			}, r.Name)
			require.Contains(t, []any{"msg_1", "msg_2"}, event["id"], r.Name)
		case "servo":
			require.Equal(t, data, event["results"], r.Name)
		case "standardwebhooks", "svix":
			require.Equal(t, data, event["data"], r.Name)
			require.Equal(t, "user.created", event["type"], r.Name)
		case "stripe":
			require.Equal(t, map[string]any{"object": data}, event["data"], r.Name)
			require.Equal(t, "user.created", event["type"], r.Name)
		default:
			require.Equal(t, data, any(event), r.Name)
		}
	}
}

// What the vectors of package dialect have is what the libraries make today.
func TestDialects_TheVectorsOfClientsAreWhatTheyMake(t *testing.T) {
	t.Parallel()
	made := map[string][]byte{
		"clients.json":        runNode(t, "sign.mjs", signingTask{Secret: vectorSecret, Timestamp: vectorTime}),
		"clients_python.json": runPython(t, "sign.py", signingTask{Secret: vectorSecret, Timestamp: vectorTime}),
	}
	for name, got := range made {
		want, err := os.ReadFile(filepath.Join("..", "dialect", "testdata", name))
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), name)
	}
}

// runNode runs a script of testdata/clients where "make interop" has installed
// what it imports.
func runNode(t *testing.T, script string, input any) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "clients", script))
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), "node", "--input-type=module", "--eval", string(text))
	cmd.Dir = filepath.Join("..", ".bin", "clients")
	return output(t, cmd, input)
}

func runPython(t *testing.T, script string, input any) []byte {
	t.Helper()
	return output(t, exec.CommandContext(t.Context(), "python3", filepath.Join("testdata", "clients", script)), input)
}

func output(t *testing.T, cmd *exec.Cmd, input any) []byte {
	t.Helper()
	stdin, err := json.Marshal(input)
	require.NoError(t, err)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(stdin), &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s", &stderr)
	return out
}
