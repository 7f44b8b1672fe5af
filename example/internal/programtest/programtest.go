// Package programtest runs an example program in its tests.
package programtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/example/internal/program"
	"github.com/riverhook/riverhook/internal/pgtest"
)

// asProgram in the environment makes the test's binary the program itself.
const asProgram = "RIVERHOOK_TEST_AS_PROGRAM"

// Main is for the TestMain of a program whose main function is main.
func Main(m *testing.M, main func()) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	pgtest.Main(m)
}

// Program is the program on a database of the tests, which it must leave alone.
type Program struct {
	URL    string // of the database
	Stdout bytes.Buffer
	Stderr bytes.Buffer

	t *testing.T
}

// New prepares a run.
func New(t *testing.T) *Program {
	t.Helper()
	return &Program{t: t, URL: pgtest.EmptyDatabase(t)}
}

// Command returns the command that runs the program.
func (p *Program) Command(args ...string) *exec.Cmd {
	p.t.Helper()
	self, err := os.Executable()
	require.NoError(p.t, err)
	cmd := exec.CommandContext(p.t.Context(), self, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1", "DATABASE_URL="+p.URL)
	cmd.Stdout, cmd.Stderr = &p.Stdout, &p.Stderr
	return cmd
}

// Run returns the exit status.
func (p *Program) Run(args ...string) int {
	p.t.Helper()
	cmd := p.Command(args...)
	err := cmd.Run()
	require.NotNil(p.t, cmd.ProcessState, err)
	return cmd.ProcessState.ExitCode()
}

// RequireTold runs the program and requires that it says, behind the line that names
// its database, what is in testdata/story.txt, and leaves nothing.
func (p *Program) RequireTold() {
	p.t.Helper()
	require.Zero(p.t, p.Run(), p.Stderr.String())
	require.Empty(p.t, p.Stderr.String())
	out := p.Stdout.String()
	want, err := os.ReadFile(filepath.Join("testdata", "story.txt"))
	require.NoError(p.t, err)
	where, told, _ := strings.Cut(out, "\nDatabase: ")
	require.Contains(p.t, where, "Postgres: DATABASE_URL")
	_, told, _ = strings.Cut(told, "\n")
	require.Equal(p.t, string(want), told)
	p.RequireClean(out)
}

// RequireCleanInterrupt runs the program, interrupts it when it prints a line that
// begins with at, and requires that it says so, fails and leaves nothing.
func (p *Program) RequireCleanInterrupt(at string) {
	p.t.Helper()
	cmd := p.Command()
	cmd.Stdout = nil
	stdout, err := cmd.StdoutPipe()
	require.NoError(p.t, err)
	require.NoError(p.t, cmd.Start())
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		p.Stdout.WriteString(lines.Text() + "\n")
		if strings.HasPrefix(lines.Text(), at) {
			require.NoError(p.t, cmd.Process.Signal(os.Interrupt))
		}
	}
	require.Error(p.t, cmd.Wait())
	require.Equal(p.t, program.ExitFailed, cmd.ProcessState.ExitCode())
	require.Contains(p.t, p.Stderr.String(), "FAILED: interrupted")
	require.NotContains(p.t, p.Stdout.String(), "All was as it must be")
	p.RequireClean(p.Stdout.String())
}

// Report decodes what the program printed with -json.
func (p *Program) Report(report any) {
	p.t.Helper()
	decoder := json.NewDecoder(&p.Stdout)
	decoder.DisallowUnknownFields()
	require.NoError(p.t, decoder.Decode(report), p.Stderr.String())
	require.Empty(p.t, strings.TrimSpace(p.Stdout.String()), "there is one object and nothing else")
}

var ownDatabase = regexp.MustCompile(`(?m)^Database: (\w+), `)

// RequireClean requires that the database which DATABASE_URL names is as it was, and
// that the one which the program made is gone. printed is what it printed.
func (p *Program) RequireClean(printed string) {
	p.t.Helper()
	made := ownDatabase.FindStringSubmatch(printed)
	require.NotNil(p.t, made, printed)
	conn, err := pgx.Connect(p.t.Context(), p.URL)
	require.NoError(p.t, err)
	defer func() { require.NoError(p.t, conn.Close(p.t.Context())) }()
	var schemas, databases int
	require.NoError(p.t, conn.QueryRow(p.t.Context(), `
		SELECT (SELECT count(*) FROM pg_namespace WHERE nspname IN ('riverhook', 'directory')),
			(SELECT count(*) FROM pg_database WHERE datname = $1)`, made[1]).Scan(&schemas, &databases))
	require.Zero(p.t, schemas)
	require.Zero(p.t, databases)
}
