// Prints what docker compose's reader makes of the .env file it is given, as JSON.
package main

import (
	"encoding/json"
	"os"

	"github.com/compose-spec/compose-go/v2/dotenv"
)

func main() {
	entries, err := dotenv.Read(os.Args[1])
	if err != nil {
		panic(err)
	}
	_ = json.NewEncoder(os.Stdout).Encode(entries)
}
