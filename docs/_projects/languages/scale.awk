{ print $1 * factor }
