package send_test

import (
	"testing"

	"github.com/riverhook/riverhook/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
